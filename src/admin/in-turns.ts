/** Gives a function that runs each task when all before it are over, however they ended. */
export function inTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<void> = Promise.resolve();
  return (task) => {
    const done = last.then(task);
    // Not the result, which may be large.
    last = done.then(
      () => {},
      () => {},
    );
    return done;
  };
}
