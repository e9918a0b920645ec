/** Why the process ends; the numbers from 64 up are those of sysexits.h. */
export const EXIT = {
  ok: 0,
  /** `check` found an error. */
  failure: 1,
  usage: 64,
  noInput: 66,
  unavailable: 69,
  software: 70,
  /** What a command prints cannot be written: the disk is full. */
  ioError: 74,
  noPermission: 77,
  /** A second signal, while draining. */
  interrupted: 130,
  /** A thread did not end after draining: as of a process that got SIGKILL. */
  killed: 137,
} as const;
