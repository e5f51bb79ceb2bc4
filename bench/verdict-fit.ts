// Fits the verifier on all pairs and writes its weights into the source.
//     npm run build && node dist/bench/verdict-fit.js [PAIRS ...]
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { features } from '../src/cache/semantic/verdict/features.ts';
import { packageFolder } from './models.ts';
import { examplesOf, fit } from './verdict/fit.ts';
import { fitFile, measurePairs, openEmbedder, readPairs, referenceFile } from './verdict/pairs.ts';

const given = process.argv.slice(2);
const files = given.length > 0 ? given : [referenceFile, fitFile];
const embedder = await openEmbedder();
const examples = [];
for (const [i, file] of files.entries()) examples.push(...examplesOf(await measurePairs(readPairs(file), embedder, i * 1_000_000)));
await embedder.close();

const { intercept, coefficients } = fit(examples);
const rounded = (value: number) => Number(value.toFixed(4));
const lines = Object.keys(features).map((name, f) => `    ${rounded(coefficients[f]!)}, // ${name}`);
const text = `// Written by bench/verdict-fit.ts.
import type { Weights } from './verifier.ts';

export const weights: Weights = {
  intercept: ${rounded(intercept)},
  coefficients: [
${lines.join('\n')}
  ],
};
`;
writeFileSync(path.join(packageFolder, 'src/cache/semantic/verdict/weights.ts'), text);
console.log(text);
