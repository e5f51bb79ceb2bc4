// The demo models' operations, asked as a transport would ask them.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { AnyOperation } from '../../../src/operation.ts';
import { tensorOperations, type TensorSurface } from '../../../src/surface/tensors/operations.ts';
import { callOperation, type Answer } from '../../support/held-model.ts';
import { tensorModels } from '../../support/tensor-models.ts';

export type Client = (line: string, body?: unknown) => Promise<Answer>;

/** `POST /models/1.0/load`, found as a transport would. */
export function client(t: TestContext, surface: Partial<TensorSurface> = {}): Client {
  const operations = tensorOperations({ models: tensorModels(t), ...surface });
  return (line, body) => {
    const [method, path] = line.split(' ') as [string, string];
    const segments = path.split('/');
    const matches = ({ method: its, path: pattern }: AnyOperation): boolean => {
      const parts = pattern.split('/');
      return (
        its === method &&
        parts.length === segments.length &&
        parts.every((part, i) => part.startsWith(':') || part === segments[i])
      );
    };
    // Without parameters first, as routers do.
    const operation = operations
      .filter(matches)
      .sort((a, b) => Number(a.path.includes(':')) - Number(b.path.includes(':')))[0];
    assert.ok(operation, line);
    const parameters = operation.path.includes(':') ? { version: decodeURIComponent(segments[2]!) } : {};
    return callOperation(operation, body, { parameters });
  };
}
