import type { FieldsView } from '../../../http/head-edit.ts';
import type { RequestHead } from './request-head.ts';

const NOTHING = Buffer.alloc(0);

/** The fields of the request head that is being read, where it was read into: looked up without a copy, until the next. */
export class HeadFields implements FieldsView {
  #head: RequestHead | null = null;
  #bytes: Buffer = NOTHING;
  #base = 0;

  of(head: RequestHead, bytes: Buffer, base: number): this {
    this.#head = head;
    this.#bytes = bytes;
    this.#base = base;
    return this;
  }

  value(name: string): string | undefined {
    return this.#head?.fields.valueOfName(this.#bytes, this.#base, name);
  }

  values(name: string): readonly string[] {
    return this.#head?.fields.valuesOfName(this.#bytes, this.#base, name) ?? [];
  }
}
