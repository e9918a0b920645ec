/** A listener for the event loop: whatever throws in it goes to `onFault` instead of ending the thread. */
export function contained<A extends unknown[]>(
  step: (...args: A) => void,
  onFault: (fault: unknown) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      step(...args);
    } catch (fault) {
      onFault(fault);
    }
  };
}
