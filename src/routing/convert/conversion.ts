import type { ObjectKey } from '../../model/objects.ts';
import type { UntypedObject } from '../../model/untyped.ts';

/**
 * What a note is about, the worst first: nobody gets in any more; something is not done any more; it is done in another way;
 * only Portico does it.
 */
export const NOTE_LEVELS = ['closed', 'lost', 'differs', 'needs Portico'] as const;
export type NoteLevel = (typeof NOTE_LEVELS)[number];

/** What is said of an object beside it: a sentence, which may quote a manifest. */
export interface ConversionNote {
  readonly level: NoteLevel;
  readonly text: string;
}

export function note(level: NoteLevel, text: string): ConversionNote {
  return { level, text };
}

/** One object of the output. */
export interface ConvertedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: UntypedObject;
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConvertedDocument {
  readonly object: ConvertedObject;
  /** The Ingresses that it comes from. */
  readonly ingresses: readonly ObjectKey[];
  readonly notes: readonly ConversionNote[];
}

/** What Ingresses are in Gateway API. */
export interface Conversion {
  readonly documents: readonly ConvertedDocument[];
  /** What concerns an Ingress and no object that was written, by the Ingress. */
  readonly unplaced: ReadonlyMap<ObjectKey, readonly ConversionNote[]>;
  readonly ingresses: number;
}

export interface ConvertSettings {
  /** `namespace/name` of the Gateway. */
  readonly gateway: ObjectKey;
  readonly gatewayClass: string;
  /** The `controllerName` of the class, which is written too; null where somebody else has the class. */
  readonly gatewayController: string | null;
  /** Whether nothing may be used that only Portico has. */
  readonly portable: boolean;
  /** The ports of the listeners; null for no HTTPS. */
  readonly httpPort: number;
  readonly httpsPort: number | null;
  /** Whether clients of hosts with TLS are redirected to it. */
  readonly redirectsToHttps: boolean;
}

/** Adds notes that are not there yet. */
export function addNotes(to: ConversionNote[], notes: readonly ConversionNote[]): void {
  for (const each of notes) {
    if (!to.some(({ level, text }) => level === each.level && text === each.text)) to.push(each);
  }
}

/** The worst first, and otherwise in their order. */
export function worstFirst(notes: readonly ConversionNote[]): readonly ConversionNote[] {
  return notes.toSorted((a, b) => NOTE_LEVELS.indexOf(a.level) - NOTE_LEVELS.indexOf(b.level));
}
