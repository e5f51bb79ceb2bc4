// What makes two questions the same text.

/**
 * Composed Unicode (NFC) without outer and repeated white space. Upper and lower case stay apart: `us` and `US` are
 * different questions, and the semantic tier finds those that are not.
 */
export function exactText(question: string): string {
  return question.normalize('NFC').replace(/\s+/gu, ' ').trim();
}
