/** What is wrong with an ExternalName, found when a request wanted it. */
export interface NameFault {
  /** The name that it is about; a Service that has another one by now is not concerned. */
  readonly host: string;
  /** As a sentence about the name goes on: `does not resolve (ENOTFOUND)`. */
  readonly reason: string;
  /** The last addresses stay in use. */
  readonly keepsAddresses: boolean;
}
