// Deterministic English-like texts of three length profiles. Text i of a profile is the same in every run and
// differs from every other, so no cache can help and two runs compare.

/** `short` 5-16 words; `mixed` 5-200, half of them under 19; `long` 200-260, about 256 tokens. */
export type Profile = 'short' | 'mixed' | 'long';
export const profiles: readonly Profile[] = ['short', 'mixed', 'long'];

/** The words a text gets when a fraction `u` of the profile's texts is shorter. */
const wordsAtQuantile: Record<Profile, (u: number) => number> = {
  short: (u) => 5 + Math.floor(12 * u),
  mixed: (u) => Math.round(5 * 40 ** (u ** 1.5)),
  long: (u) => 200 + Math.floor(61 * u),
};
const profileSeed: Record<Profile, number> = { short: 11, mixed: 23, long: 37 };

/** Steps of the golden ratio fill the unit interval evenly, so every stretch of texts has the profile's lengths. */
const goldenRatioStep = 0.618_033_988_749_894_9;

/** Text number `index` of a profile. */
export function textAt(profile: Profile, index: number): string {
  const words = wordsAtQuantile[profile]((index * goldenRatioStep) % 1);
  const random = randomFrom(Math.imul(index + 1, 0x9e37_79b1) ^ profileSeed[profile]);
  // The number makes the text unlike all others even when the few words of a short one happen to repeat.
  let text = `${pick(openings, random)} ${index.toString(36)}`;
  let sentenceWords = 2;
  for (let i = 2; i < words; i++) {
    const word = pick(random() < 0.42 ? glueWords : contentWords, random);
    const boundary = sentenceWords > 6 && random() < 0.12 ? '. ' : sentenceWords > 3 && random() < 0.05 ? ', ' : ' ';
    sentenceWords = boundary === '. ' ? 1 : sentenceWords + 1;
    text += boundary + (boundary === '. ' ? word.charAt(0).toUpperCase() + word.slice(1) : word);
  }
  return `${text}.`;
}

/** `count` texts of a profile from number `first` on. */
export function textsFrom(profile: Profile, first: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => textAt(profile, first + i));
}

/** The first words of a list come up more often, as in any language. */
function pick(words: readonly string[], random: () => number): string {
  return words[Math.floor(words.length * random() ** 1.6)]!;
}

/** Mulberry32: small, fast, good enough for word salad. */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const openings: readonly string[] =
  'Ticket Order Report Question Message Review Note Article Invoice Chapter'.split(' ');

const glueWords: readonly string[] = (
  'the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which ' +
  'one you were all her she there would their we him been has when who will no more if out so said what up its ' +
  'about than into them can only other new some could time these two may then do first any my now such like our ' +
  'over'
).split(' ');

const contentWords: readonly string[] = (
  'people water house server world school country family system company program question government number night ' +
  'point home mother area money story fact month lot right study book eye job word business issue side kind head ' +
  'service friend father power hour game line end member law car city community name president team minute idea ' +
  'body information back parent face others level office door health person art war history party result change ' +
  'morning reason research girl guy moment air teacher force education think know take see come want look use find ' +
  'give tell work call try ask need feel become leave put mean keep let begin seem help talk turn start show hear ' +
  'play run move live believe hold bring happen write provide sit stand lose pay meet include continue set learn ' +
  'lead understand watch follow stop create speak read allow add spend grow open walk win offer remember love ' +
  'consider appear buy wait serve die send expect build stay fall cut reach kill remain good great little own old ' +
  'big high different small large next early young important few public bad same able garden river mountain window ' +
  'kitchen winter summer engine market price customer delivery payment account password keyboard library museum ' +
  'airport ticket passport hospital doctor patient medicine treatment disease vaccine protein molecule energy ' +
  'temperature pressure climate weather forest ocean island bridge railway harbour factory machine battery software ' +
  'database network protocol latency throughput memory processor algorithm vector sentence language grammar ' +
  'translation paragraph editor newspaper journalist election parliament minister budget inflation economy investor ' +
  'contract insurance lawyer judge witness evidence prison soldier treaty border refugee volunteer charity festival ' +
  'orchestra violin melody painting sculpture theatre actor director camera photograph football champion stadium ' +
  'athlete marathon bicycle recipe tomato potato cheese chocolate breakfast restaurant furniture carpet blanket ' +
  'umbrella suitcase necklace jacket trousers shoulder elbow stomach skeleton microscope telescope satellite galaxy ' +
  'asteroid volcano earthquake hurricane drought harvest tractor orchard vineyard butterfly elephant dolphin ' +
  'penguin crocodile mosquito bacteria fungus photosynthesis chromosome thermodynamics cryptography infrastructure ' +
  'bureaucracy archaeology anthropologist constellation reconciliation misunderstanding unprecedented ' +
  'extraordinarily quarterly refinancing kubernetes hyperparameter'
).split(' ');
