import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { HTTPS_PORT, HTTP_PORT } from '../support/daemon.ts';
import { until } from '../support/until.ts';
import type { DifferentialCase } from './case.ts';
import { CERTIFICATE, type Place, withPlaces } from './manifests.ts';
import { happens } from '../support/until.ts';

/** Why nginx cannot be run here; null when it can. */
export function nginxMissing(): string | null {
  const { error } = spawnSync('nginx', ['-v']);
  return error ? 'nginx is not installed; on Debian: apt-get install nginx-light' : null;
}

/** What ingress-nginx writes into every location, in the order of its template; `{app}` is where the Pod is. */
const LOCATION = `
proxy_set_header Host $best_http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
proxy_set_header X-Request-ID $req_id;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Host $best_http_host;
proxy_set_header X-Forwarded-Port $server_port;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Scheme $scheme;
proxy_set_header X-Scheme $scheme;
proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
proxy_set_header X-Original-Forwarded-Host $http_x_forwarded_host;
proxy_set_header Proxy "";
add_header Strict-Transport-Security $hsts always;
client_max_body_size 1m;
proxy_connect_timeout 5s;
proxy_send_timeout 60s;
proxy_read_timeout 60s;
proxy_buffering off;
proxy_http_version 1.1;
proxy_cookie_domain off;
proxy_cookie_path off;
proxy_next_upstream error timeout;
proxy_next_upstream_tries 3;
proxy_redirect off;
proxy_pass http://{app};`;

/** The configuration that stands for the annotations of all cases. Every case is a server of its own. */
export function nginxConfig(
  cases: readonly DifferentialCase[],
  address: string,
  folder: string,
  places: (each: DifferentialCase, pod: string) => Place,
): string {
  const listens = `listen ${address}:${HTTP_PORT}; listen ${address}:${HTTPS_PORT} ssl;`;
  const blocks = cases.map((each) => {
    const { name, nginx } = each;
    const locations = Object.entries(nginx.locations).map(
      ([head, directives]) =>
        `location ${head} {\nset $best_http_host $http_host;\n${directives}\n${without(directives)}\n}`,
    );
    const text = `${nginx.http}
server {
  ${listens} server_name ${name}.test;
  add_header Strict-Transport-Security $hsts always;
  ${nginx.server}
  ${locations.join('\n')}
}`;
    const own = name.replaceAll('-', '_');
    for (const [path, content] of Object.entries(nginx.files))
      writeFileSync(join(folder, path.replaceAll('{case}', own)), content);
    return withPlaces(text, each, places).replaceAll('{case}', own).replaceAll('{folder}', folder);
  });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (each) => `${each}_temp_path ${folder}/${each};`,
  );
  return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr warn;
events { worker_connections 512; }
http {
  ${temporary.join(' ')}
  access_log off;
  server_tokens off;
  server_names_hash_bucket_size 128;
  variables_hash_max_size 2048;
  ssl_certificate ${CERTIFICATE.cert}; ssl_certificate_key ${CERTIFICATE.key};
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  map $http_x_request_id $req_id { default $http_x_request_id; '' $request_id; }
  map $scheme $hsts { https "max-age=31536000; includeSubDomains"; default ""; }
  ${blocks.join('\n')}
}
`;
}

/** The usual directives without those that a case writes itself. A directive of header fields is told by the field. */
function without(directives: string): string {
  const written = new Set(directives.split(/[;{}\n]/).map(keyOf));
  return LOCATION.split('\n')
    .filter((line) => !written.has(keyOf(line)))
    .join('\n');
}

function keyOf(directive: string): string {
  const [name = '', first = ''] = directive.trim().split(/[\s;]+/);
  return name.endsWith('_header') ? `${name} ${first.toLowerCase()}` : name;
}

/** Starts nginx with a configuration and waits until it listens. Fails with what it says of a configuration that is not valid. */
export async function startNginx(config: string, address: string, folder: string): Promise<AsyncDisposable> {
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, config);
  const child = spawn('nginx', ['-e', 'stderr', '-p', folder, '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const closed = once(child, 'close');
  let isOver = false;
  void closed.then(() => (isOver = true));
  const kill = (): void => void child.kill('SIGKILL');
  process.on('exit', kill);
  await until(() => isOver || listens(address), 'nginx listens');
  if (isOver) throw new Error(`nginx ended: ${output}`);
  return {
    async [Symbol.asyncDispose]() {
      process.off('exit', kill);
      child.kill('SIGKILL');
      await closed;
    },
  };
}

async function listens(host: string): Promise<boolean> {
  const socket = connect({ host, port: HTTP_PORT });
  const connected = await happens(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return connected;
}
