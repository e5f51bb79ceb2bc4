// The named parts of an API description, and TypeBox schemas rewritten as the JSON Schema that OpenAPI 3.1 takes.
import assert from 'node:assert/strict';
import type { TSchema } from 'typebox';

export type JsonObject = { [name: string]: unknown };

const schemaKeys = new Set([
  'items', 'additionalProperties', 'unevaluatedItems', 'unevaluatedProperties', 'propertyNames', 'contains', 'not',
  'if', 'then', 'else',
]);
const listKeys = new Set(['anyOf', 'allOf', 'oneOf', 'prefixItems']);
const mapKeys = new Set(['properties', 'patternProperties', 'dependentSchemas', '$defs']);

/** Gathers what `$ref`s point to: each schema with an `$id`, or a name given, stands in the document once. */
export class Components {
  readonly #schemas = new Map<string, { readonly source: object; readonly json: JsonObject }>();
  readonly #responses = new Map<string, JsonObject>();

  /** The schema itself, or a reference when it has a name. */
  schema(source: TSchema, name?: string): JsonObject {
    const { $id } = source as { $id?: string };
    const key = componentKey($id ?? name ?? '');
    return key === '' ? this.#convert(source as JsonObject) : this.#named(key, source as JsonObject);
  }

  /** A reference to the response of that name, made once. */
  response(name: string, make: () => JsonObject): JsonObject {
    const key = componentKey(name);
    if (!this.#responses.has(key)) this.#responses.set(key, make());
    return { $ref: `#/components/responses/${key}` };
  }

  toJson(): JsonObject {
    return {
      schemas: Object.fromEntries([...this.#schemas].map(([key, { json }]) => [key, json])),
      responses: Object.fromEntries(this.#responses),
    };
  }

  #named(key: string, source: JsonObject): JsonObject {
    const known = this.#schemas.get(key);
    if (known === undefined) {
      const json: JsonObject = {};
      // Entered before it is converted, so that a schema may refer to itself.
      this.#schemas.set(key, { source, json });
      Object.assign(json, this.#convert(source));
    } else {
      assert(known.source === source, `Two schemas are called ${key}.`);
    }
    return { $ref: `#/components/schemas/${key}` };
  }

  #part(value: unknown): unknown {
    return typeof value === 'object' && value !== null ? this.schema(value as TSchema) : value;
  }

  #convert(source: JsonObject): JsonObject {
    const json: JsonObject = {};
    for (const [key, value] of Object.entries(source)) {
      if (key === '$id' || key === 'additionalItems') continue;
      if (key === 'items' && Array.isArray(value)) {
        // TypeBox writes tuples as JSON Schema draft 7 did; OpenAPI 3.1 follows 2020-12.
        json.prefixItems = value.map((part) => this.#part(part));
        json.items = this.#part(source.additionalItems ?? true);
      } else if (listKeys.has(key)) {
        json[key] = (value as readonly unknown[]).filter((part) => !isUndefined(part)).map((part) => this.#part(part));
      } else if (mapKeys.has(key)) {
        json[key] = Object.fromEntries(Object.entries(value as object).map(([name, part]) => [name, this.#part(part)]));
      } else {
        json[key] = schemaKeys.has(key) ? this.#part(value) : value;
      }
    }
    return json;
  }
}

/** Any one of `schemas`; equal ones count once. */
export function alternatives(schemas: readonly JsonObject[]): JsonObject {
  const different = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()];
  const [only] = different;
  return different.length === 1 && only !== undefined ? only : { anyOf: different };
}

/** A TypeBox type for "absent", which JSON does not have. */
function isUndefined(part: unknown): boolean {
  return typeof part === 'object' && part !== null && (part as JsonObject).type === 'undefined';
}

function componentKey(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]/g, '-');
}
