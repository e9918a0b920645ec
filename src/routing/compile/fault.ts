import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';

/** A fault of ours that one object brought about: that object is left out, and all others are compiled. */
export interface CompileFault {
  readonly object: ObjectReference;
  readonly error: unknown;
}

/** Notes the fault, and says it about its object. */
export function faultProblem(object: ObjectReference, error: unknown, faults: CompileFault[]): Problem {
  faults.push({ object, error });
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const message = `Portico failed on this object (${reason}) and leaves it out; all others are served. Please report this as a bug in Portico.`;
  return problem('error', 'InternalError', object, '', message);
}
