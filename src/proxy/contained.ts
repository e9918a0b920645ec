/** A listener for the event loop: whatever throws in it goes to `onFault` instead of ending the thread. */
export function contained(step: () => void, onFault: (fault: unknown) => void): () => void {
  return () => {
    try {
      step();
    } catch (fault) {
      onFault(fault);
    }
  };
}
