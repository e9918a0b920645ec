import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { bytesIn, messageIn, readProtobuf } from '../../src/model/protobuf-reader.ts';
import { ProtobufWriter } from '../../src/model/protobuf-writer.ts';

/** What a server of Envoy's ext_authz is told of a request, as far as tests look at it. */
export interface Checked {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly source: string;
  readonly protocol: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly rawBody: Buffer;
}

/** A header field of an answer; `append` is left out unless it is said. */
interface SaidField {
  readonly key: string;
  readonly value: string;
  readonly append?: boolean;
}

interface Said {
  /** The `google.rpc.Status`; left out with null. */
  readonly code?: number | null;
  readonly ok?: {
    readonly headers?: readonly SaidField[];
    readonly remove?: readonly string[];
    readonly toClient?: readonly SaidField[];
    readonly query?: string;
  };
  readonly denied?: {
    readonly status?: number;
    readonly headers?: readonly SaidField[];
    readonly body?: string;
  };
}

/** The bytes of a CheckResponse. */
export function checkResponse({ code = 0, ok, denied }: Said): Buffer {
  const writer = new ProtobufWriter();
  const fields = (number: number, list: readonly SaidField[] = []): void => {
    for (const { key, value, append } of list) {
      writer.message(number, () => {
        writer.message(1, () => {
          writer.text(1, key);
          writer.text(2, value);
        });
        if (append !== undefined) writer.message(2, () => writer.uint(1, Number(append)));
      });
    }
  };
  if (code !== null) writer.message(1, () => writer.uint(1, code));
  if (denied) {
    writer.message(2, () => {
      writer.message(1, () => writer.uint(1, denied.status ?? 0));
      fields(2, denied.headers);
      if (denied.body !== undefined) writer.text(3, denied.body);
    });
  }
  if (ok) {
    writer.message(3, () => {
      fields(2, ok.headers);
      for (const name of ok.remove ?? []) writer.text(5, name);
      fields(6, ok.toClient);
      if (ok.query !== undefined) writer.text(8, ok.query);
    });
  }
  return writer.take();
}

/** A real gRPC server. What `answer` gives is sent as it is; null fails the call. */
export async function checkServer(answer: (checked: Checked) => Buffer | null) {
  const asked: Checked[] = [];
  const server = new Server();
  const definition = {
    path: '/envoy.service.auth.v3.Authorization/Check',
    ...{ requestStream: false, responseStream: false },
    requestSerialize: (bytes: Buffer): Buffer => bytes,
    requestDeserialize: readRequest,
    responseSerialize: (bytes: Buffer): Buffer => bytes,
    responseDeserialize: (bytes: Buffer): Buffer => bytes,
  };
  server.addService(
    { check: definition },
    {
      check({ request }: ServerUnaryCall<Checked, Buffer>, done: sendUnaryData<Buffer>) {
        asked.push(request);
        const bytes = answer(request);
        if (bytes === null) done({ code: status.INTERNAL, details: 'out of order' });
        else done(null, bytes);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { asked, port, [Symbol.asyncDispose]: async () => server.forceShutdown() };
}

function readRequest(bytes: Buffer): Checked {
  const inside = (message: Buffer, ...path: readonly number[]): Buffer => {
    const [number, ...rest] = path;
    if (number === undefined) return message;
    return inside(messageIn(readProtobuf(message) ?? [], number) ?? Buffer.alloc(0), ...rest);
  };
  const http = inside(bytes, 1, 4, 2);
  const text = (number: number): string => inside(http, number).toString('utf8');
  const headers = bytesIn(readProtobuf(http) ?? [], 3).map((entry) => [
    inside(entry, 1).toString('utf8'),
    inside(entry, 2).toString('utf8'),
  ]);
  return {
    method: text(2),
    path: text(4),
    host: text(5),
    source: inside(bytes, 1, 1, 1, 1, 2).toString('utf8'),
    protocol: text(10),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: text(11),
    rawBody: inside(http, 12),
  };
}
