import { createServer } from 'node:http';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { WebSocketServer } from 'ws';

/** The pods of the protocol benchmarks: a gRPC echo on the first port, a WebSocket echo on the second. */
const [grpcPort, socketPort] = process.argv.slice(2).map(Number);

const same = (bytes: Buffer): Buffer => bytes;
const grpc = new Server();
grpc.addService(
  {
    unary: {
      path: '/bench.Echo/Unary',
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  },
  {
    unary: (call: { request: Buffer }, done: (error: null, reply: Buffer) => void) =>
      done(null, call.request),
  },
);

const sockets = createServer();
new WebSocketServer({ server: sockets }).on('connection', (socket) => {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
  socket.on('error', () => undefined);
});

grpc.bindAsync(`127.0.0.1:${grpcPort}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  sockets.listen(socketPort, '127.0.0.1', () => process.stdout.write('listening\n'));
});
