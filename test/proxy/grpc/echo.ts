import {
  type ChannelCredentials,
  type ServiceDefinition,
  Metadata,
  Server,
  ServerCredentials,
  credentials,
  makeGenericClientConstructor,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';

/** One method of each kind; messages are text, so no compiler of protocol buffers is needed. */
function method(name: string, requestStream: boolean, responseStream: boolean) {
  return {
    path: `/test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: (text: string): Buffer => Buffer.from(text),
    requestDeserialize: (bytes: Buffer): string => bytes.toString(),
    responseSerialize: (text: string): Buffer => Buffer.from(text),
    responseDeserialize: (bytes: Buffer): string => bytes.toString(),
  };
}

const ECHO = {
  unary: method('Unary', false, false),
  upload: method('Upload', true, false),
  download: method('Download', false, true),
  chat: method('Chat', true, true),
} satisfies ServiceDefinition;

export interface EchoServer extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
  /** Calls begun, of any kind. */
  calls: number;
}

/** A gRPC server that gives back what it gets; `fail` fails, `wait` never answers. */
export async function echoServer(name = 'echo'): Promise<EchoServer> {
  const server = new Server();
  const echo: EchoServer = {
    port: 0,
    server,
    calls: 0,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
  server.addService(ECHO, {
    unary(call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) {
      echo.calls++;
      if (call.request === 'wait') return;
      if (call.request === 'fail') return done({ code: status.NOT_FOUND, details: 'no such: ünïcode' });
      const initial = new Metadata();
      for (const key of ['x-text', 'x-bytes-bin']) {
        for (const value of call.metadata.get(key)) initial.add(key, value);
      }
      call.sendMetadata(initial);
      const trailers = new Metadata();
      trailers.set('x-pod', name);
      trailers.set('x-binary-bin', Buffer.from([0, 255]));
      done(null, call.request, trailers);
    },
    upload(call: ServerReadableStream<string, string>, done: sendUnaryData<string>) {
      echo.calls++;
      const texts: string[] = [];
      call.on('data', (text: string) => texts.push(text));
      call.on('end', () => done(null, texts.join(' ')));
    },
    download(call: ServerWritableStream<string, string>) {
      echo.calls++;
      for (let i = 0; i < Number(call.request); i++) call.write(`message ${i}`);
      call.end();
    },
    chat(call: ServerDuplexStream<string, string>) {
      echo.calls++;
      call.on('error', () => undefined);
      call.on('data', (text: string) => {
        if (text === 'enough') call.end();
        else call.write(`you said ${text}`);
      });
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return Object.assign(echo, { port });
}

const EchoClient = makeGenericClientConstructor(ECHO, 'Echo');

/** A client of grpc-js, on a connection of its own, for `app.test` or another authority. */
export function echoClient(
  port: number,
  authority = 'app.test',
  place: { readonly address: string; readonly credentials: ChannelCredentials } | null = null,
) {
  const { address, credentials: trust } = place ?? {
    address: '127.0.0.1',
    credentials: credentials.createInsecure(),
  };
  return new EchoClient(`${address}:${port}`, trust, {
    'grpc.default_authority': authority,
    ...(place && { 'grpc.ssl_target_name_override': authority }),
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
  });
}
