// Whose request it is, for the rate limit. Invariant: a client cannot choose its own key; an X-Forwarded-For entry
// counts only when a proxy we trust wrote it.
import { isIP } from 'node:net';

/** A client of IPv6 owns a whole /64, so that prefix is the client. */
const ipv6GroupsKept = 4;

/**
 * The key of the client. `socketAddress` is uWebSockets.js's binary address, 4 or 16 bytes. With `trustedProxies`
 * proxies in front, the entry that the outermost of them wrote counts: that many from the end of the list.
 */
export function clientKey(socketAddress: ArrayBuffer, forwardedFor: string, trustedProxies: number): string {
  if (trustedProxies > 0 && forwardedFor !== '') {
    const entries = forwardedFor.split(',');
    const entry = textKey(entries[Math.max(0, entries.length - trustedProxies)]!.trim());
    if (entry !== undefined) return entry;
  }
  return binaryKey(new Uint8Array(socketAddress));
}

function binaryKey(bytes: Uint8Array): string {
  // By hand, because join on so few bytes takes as long as the rest of a small request.
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) return '';
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index]! << 8) | bytes[2 * index + 1]!);
  return groupsKey(groups);
}

/** undefined when `entry` is no address. Some proxies add the port. */
function textKey(entry: string): string | undefined {
  const bare = entry.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1');
  const version = isIP(bare);
  if (version === 0) return undefined;
  if (version === 4) return bare;
  const [head = '', tail] = bare.replace(/%.*$/, '').split('::');
  const before = toGroups(head);
  if (tail === undefined) return groupsKey(before);
  const after = toGroups(tail);
  return groupsKey([...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]);
}

function toGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

function groupsKey(groups: readonly number[]): string {
  // An IPv4 client on a socket that takes both: its /64 would be every IPv4 client.
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (isMapped) return groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]).join('.');
  return groups.slice(0, ipv6GroupsKept).map((group) => group.toString(16)).join(':');
}
