// The embedding model whose vectors are compared.

export type VectorModel = { readonly identity: string; readonly dimension: number };

/** Before any is known: nothing is compared. */
export const noModel: VectorModel = { identity: '', dimension: 0 };
