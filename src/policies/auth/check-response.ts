import { type HeadEdit, type HeaderField, separatorOf } from '../../http/head-edit.ts';
import { isForwardingField, isHopByHop } from '../../http/header-fields.ts';
import type { SubrequestFailure } from '../../http/subrequest.ts';
import {
  type ProtobufField,
  bytesIn,
  hasField,
  messageIn,
  numberIn,
  readProtobuf,
} from '../../model/protobuf-reader.ts';
import { isReservedField } from '../field-fault.ts';

/** Numbers of fields: envoy/service/auth/v3/external_auth.proto, type/v3/http_status.proto and core/v3/base.proto. */
const CHECK = { status: 1, denied: 2, ok: 3, error: 5 } as const;
const RPC_STATUS = { code: 1 } as const;
const DENIED = { status: 1, headers: 2, body: 3 } as const;
const HTTP_STATUS = { code: 1 } as const;
const OK = { headers: 2, removed: 5, toClient: 6, setQuery: 7, removeQuery: 8 } as const;
const OPTION = { header: 1, append: 2, action: 3 } as const;
const HEADER = { key: 1, value: 2, rawValue: 3 } as const;
/** A `google.protobuf.BoolValue`. */
const BOOL = { value: 1 } as const;

/** How a field is set: `append` to the value that is there, `add` beside others, `default` where there is none, `replace` where there is one. */
type Action = 'set' | 'append' | 'add' | 'default' | 'replace' | 'remove';

export interface FieldChange {
  readonly name: string;
  readonly value: string;
  readonly action: Action;
}

/** What a server of ext_authz says of a request. */
export type CheckAnswer =
  | {
      readonly kind: 'allowed';
      /** Of what Pods get. */
      readonly changes: readonly FieldChange[];
      /** Of what clients get. */
      readonly toClient: readonly FieldChange[];
    }
  | {
      readonly kind: 'denied';
      readonly status: number;
      readonly fields: readonly HeaderField[];
      /** A byte a character; empty for none. */
      readonly body: string;
    }
  /** It says neither yes nor no, or asks for what Portico cannot do. */
  | { readonly kind: 'unclear'; readonly fault: CheckFault };

/** What is unclear, as the access log has it. */
export type CheckFault =
  | SubrequestFailure
  | `http-status-${number}`
  | 'not-grpc'
  /** The call ended with another status than 0. */
  | `grpc-status-${number}`
  /** There is none, it is no number, or comes twice or before the message. */
  | 'bad-grpc-status'
  /** Not one whole message without compression. */
  | 'bad-grpc-message'
  | 'bad-check-response'
  /** It says that the server failed. */
  | 'error-response'
  /** What it says contradicts itself. */
  | 'both-allowed-and-denied'
  | 'neither-allowed-nor-denied'
  | 'query-change'
  /** A header field is malformed, may not be changed, or there are too many. */
  | 'bad-header';

const FORBIDDEN = 403;
const MAX_CHANGES = 128;

function unclear(fault: CheckFault): CheckAnswer {
  return { kind: 'unclear', fault };
}

/** Reads an `envoy.service.auth.v3.CheckResponse`. */
export function checkAnswer(message: Buffer): CheckAnswer {
  const fields = readProtobuf(message);
  if (fields === null) return unclear('bad-check-response');
  const [status, denied, ok] = [CHECK.status, CHECK.denied, CHECK.ok].map((each) => messageIn(fields, each));
  const rpc = status ? readProtobuf(status) : [];
  if (rpc === null) return unclear('bad-check-response');
  if (hasField(fields, CHECK.error)) return unclear('error-response');
  if (denied && ok) return unclear('both-allowed-and-denied');
  if (numberIn(rpc, RPC_STATUS.code) !== 0 || hasOddCode(rpc))
    return ok ? unclear('both-allowed-and-denied') : deniedBy(denied ?? null);
  if (denied) return unclear('both-allowed-and-denied');
  // A message without anything is no yes.
  if (!status && !ok) return unclear('neither-allowed-nor-denied');
  return ok ? allowedBy(ok) : { kind: 'allowed', changes: [], toClient: [] };
}

/** Of another type than a number: some reader may see no 0 in it. */
function hasOddCode(rpc: readonly ProtobufField[]): boolean {
  return rpc.some(({ number, kind }) => number === RPC_STATUS.code && kind !== 'varint');
}

function allowedBy(message: Buffer): CheckAnswer {
  const fields = readProtobuf(message);
  if (fields === null) return unclear('bad-check-response');
  if (hasField(fields, OK.setQuery) || hasField(fields, OK.removeQuery)) return unclear('query-change');
  const removed = bytesIn(fields, OK.removed).map((name) => name.toString('latin1').toLowerCase());
  const set = changesIn(fields, OK.headers, 'request');
  const toClient = changesIn(fields, OK.toClient, 'response');
  if (set === null || toClient === null || removed.length > MAX_CHANGES) return unclear('bad-header');
  const removals = removed
    .filter((name) => mayChange(name, 'request'))
    .map((name): FieldChange => ({ name, value: '', action: 'remove' }));
  return { kind: 'allowed', changes: [...set, ...removals], toClient };
}

function deniedBy(message: Buffer | null): CheckAnswer {
  const fields = message === null ? [] : readProtobuf(message);
  if (fields === null) return unclear('bad-check-response');
  const status = readProtobuf(messageIn(fields, DENIED.status) ?? Buffer.alloc(0));
  const changes = optionsIn(fields, DENIED.headers);
  if (status === null) return unclear('bad-check-response');
  if (changes === null) return unclear('bad-header');
  const code = numberIn(status, HTTP_STATUS.code);
  return {
    kind: 'denied',
    status: code >= 200 && code <= 599 ? code : FORBIDDEN,
    // What a message needs is said by Portico.
    fields: changes.flatMap(({ name, value }): readonly HeaderField[] =>
      mayChange(name, 'response') && value !== '' ? [[name, value]] : [],
    ),
    body: messageIn(fields, DENIED.body)?.toString('latin1') ?? '',
  };
}

/** Null where one of them cannot be made. */
function changesIn(
  fields: readonly ProtobufField[],
  number: number,
  of: 'request' | 'response',
): readonly FieldChange[] | null {
  const changes = optionsIn(fields, number);
  if (changes === null || !changes.every(({ name }) => mayChange(name, of))) return null;
  // Requests are changed as Envoy has it: a field is set unless the server says otherwise.
  return changes.flatMap(({ name, value, append, action: number }): readonly FieldChange[] => {
    const usual = of === 'request' ? 'set' : 'add';
    const added = of === 'request' ? 'append' : 'add';
    const action = append === undefined ? (ACTIONS[number] ?? usual) : append ? added : 'set';
    if (value !== '') return [{ name, value, action }];
    // What a client said under the name must not stay in its place.
    return action === 'set' || action === 'replace' ? [{ name, value, action: 'remove' }] : [];
  });
}

/** By `HeaderAppendAction`. */
const ACTIONS: readonly (Action | null)[] = [null, 'default', 'set', 'replace'];

interface HeaderValueOption {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
  readonly append: boolean | undefined;
  readonly action: number;
}

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** Null where one of them is malformed, or no field of HTTP. */
function optionsIn(fields: readonly ProtobufField[], number: number): readonly HeaderValueOption[] | null {
  const options: HeaderValueOption[] = [];
  for (const message of bytesIn(fields, number)) {
    const option = readProtobuf(message);
    const header = option && readProtobuf(messageIn(option, OPTION.header) ?? Buffer.alloc(0));
    const append = option && messageIn(option, OPTION.append);
    const flag = append ? readProtobuf(append) : [];
    if (!option || !header || !flag || options.length === MAX_CHANGES) return null;
    const name = textIn(header, HEADER.key);
    const value = textIn(header, HEADER.value) || textIn(header, HEADER.rawValue);
    if (!NAME.test(name) || !VALUE.test(value)) return null;
    options.push({
      name: name.toLowerCase(),
      value,
      append: append === null ? undefined : numberIn(flag, BOOL.value) !== 0,
      action: numberIn(option, OPTION.action),
    });
  }
  return options;
}

/** A byte a character, as heads are written. */
function textIn(fields: readonly ProtobufField[], number: number): string {
  return bytesIn(fields, number).at(-1)?.toString('latin1') ?? '';
}

/** Whether others may say a field: not what Portico says of the message, the connection and the client. */
function mayChange(name: string, of: 'request' | 'response'): boolean {
  if (!NAME.test(name) || isReservedField(name) || isHopByHop(name)) return false;
  return of === 'response' || (name !== 'host' && !isForwardingField(name));
}

/** Applies changes in their order. */
export function applyChanges(edit: HeadEdit, changes: readonly FieldChange[]): void {
  for (const { name, value, action } of changes) {
    switch (action) {
      case 'set':
        edit.set(name, value);
        break;
      case 'append': {
        const before = edit.value(name);
        edit.set(name, before === undefined ? value : before + separatorOf(name) + value);
        break;
      }
      case 'add':
        edit.add(name, value);
        break;
      case 'default':
        edit.setDefault(name, value);
        break;
      case 'replace':
        if (edit.has(name)) edit.set(name, value);
        break;
      case 'remove':
        edit.remove(name);
        break;
      default:
        return action satisfies never;
    }
  }
}
