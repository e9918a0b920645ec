import type { Socket } from 'node:net';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { ArrivalPort } from '../../routing/gateway-routes.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { revocationLists } from '../../model/revocation-list.ts';
import type { SecretData } from '../../model/secret-data.ts';
import type { PresentedCertificate } from '../../http/connection-info.ts';
import type { CertificateStore } from './certificate-store.ts';
import type { HandshakeCounters } from './handshake-counters.ts';
import { presentedCertificate } from './presented-certificate.ts';
import { type Handshakes, createHandshakes } from './termination.ts';

/** Shakes hands with clients that are asked for a certificate. */
export interface Verification {
  /**
   * As `Termination` does, and calls `secured` whatever the client showed: what becomes of its requests is decided with
   * them, since an answer is read where an alert is not. `serverName` is what it gave as SNI.
   */
  begin(
    raw: Socket,
    serverName: string | null,
    policy: ClientAuth,
    arrival: ArrivalPort,
    secured: (socket: TLSSocket, client: PresentedCertificate) => void,
  ): void;
}

export function createVerification(
  certificates: CertificateStore,
  protocols: readonly string[],
  now: () => number,
  counters: HandshakeCounters,
  secretOf: (key: ObjectKey) => SecretData | undefined,
): Verification {
  // Node asks by server, not by SNI. Each lives as long as its policy in the table, and its certificate.
  const servers = new WeakMap<ClientAuth, WeakMap<SecureContextOptions, Handshakes | null>>();

  const make = (policy: ClientAuth, shown: SecureContextOptions): Handshakes | null => {
    try {
      const revocations = policy.revocations && secretOf(policy.revocations.secret);
      // Without the list that a policy names nobody can be told to be in it.
      if (policy.revocations && !revocations) return null;
      const options = {
        ...shown,
        ALPNProtocols: [...protocols],
        ca: policy.caCertificates,
        ...(revocations && { crl: [...revocationLists(revocations)] }),
        requestCert: true,
        rejectUnauthorized: policy.enforced === 'in-handshake',
        // A session is resumed with what was verified when it began: by this policy and no other.
        sessionIdContext: policy.policyId,
      };
      return createHandshakes(options, counters);
    } catch {
      // This is on the way of a handshake: no client must be able to end the thread.
      return null;
    }
  };

  return {
    begin(raw, serverName, policy, arrival, secured) {
      const shown = certificates.shown(serverName, arrival);
      if (!shown) return void raw.destroy();
      let byCertificate = servers.get(policy);
      if (!byCertificate) servers.set(policy, (byCertificate = new WeakMap()));
      let handshakes = byCertificate.get(shown);
      if (handshakes === undefined) byCertificate.set(shown, (handshakes = make(policy, shown)));
      if (!handshakes) return void raw.destroy();
      handshakes.begin(raw, (socket) => secured(socket, presentedCertificate(socket, policy, now())));
    },
  };
}
