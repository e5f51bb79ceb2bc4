// What is used of hnswlib-node 3.0.0. Declared here because the package is optional: where it could not be compiled,
// everything else must still build.
declare module 'hnswlib-node' {
  /** Vectors and queries are plain arrays; labels are whole numbers from 0. Synchronous but for its files. */
  export class HierarchicalNSW {
    constructor(space: 'ip' | 'l2' | 'cosine', dimension: number);
    initIndex(maxElements: number, m: number, efConstruction: number): void;
    readIndex(file: string): Promise<boolean>;
    writeIndex(file: string): Promise<boolean>;
    resizeIndex(maxElements: number): void;
    setEf(ef: number): void;
    addPoint(point: number[], label: number): void;
    markDelete(label: number): void;
    searchKnn(query: number[], count: number): { distances: number[]; neighbors: number[] };
    getCurrentCount(): number;
    getMaxElements(): number;
    getNumDimensions(): number;
  }
}
