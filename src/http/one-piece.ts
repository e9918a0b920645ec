/** The same text in one piece: what is joined from others stays a tree of them, which takes longer to be written each time. */
export function inOnePiece(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}
