// DEVICE to the list of devices that the workers of a pool share out among themselves.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `auto` takes the first CUDA device where ONNX Runtime's CUDA provider is installed, else the CPU. Whether
 * a wanted device really opens is known only to the worker, which then falls back to the CPU and says so.
 * @param wanted auto, cpu, cuda, or cuda:0,1
 * @returns 'cpu' or 'cuda:N' each; worker i takes entry i modulo the length
 */
export function chooseDevices(wanted: string, cudaInstalled: () => boolean = cudaProviderInstalled): readonly string[] {
  if (wanted === 'cpu') return ['cpu'];
  if (wanted === 'auto') return [cudaInstalled() ? 'cuda:0' : 'cpu'];
  const [, list = '0'] = wanted.split(':');
  return list.split(',').map((index) => `cuda:${Number(index)}`);
}

/** Its library lies beside the CPU one in the onnxruntime-node package, once somebody has put it there. */
function cudaProviderInstalled(): boolean {
  const root = packageDirectory();
  if (root === undefined) return false;
  const binaries = join(root, 'bin', 'napi-v6', process.platform, process.arch);
  return existsSync(binaries) && readdirSync(binaries).some((file) => file.includes('providers_cuda'));
}

function packageDirectory(): string | undefined {
  try {
    return dirname(dirname(fileURLToPath(import.meta.resolve('onnxruntime-node'))));
  } catch {
    return undefined;
  }
}
