/** A SCEP endpoint and what its requests say once they are opened, in the terms that authorising and issuing share. */
import type { ConnectorRow } from '../backends/store/database.ts';
import type { EnrolmentPolicy } from '../base/enrolment-policy.ts';
import type { AlgorithmPolicy, DigestName } from '../base/pki/algorithms.ts';
import type { CertificationRequest } from '../base/pki/pkcs10.ts';
import type { Certificate } from '../base/pki/x509.ts';
import type { Failure } from '../base/scep.ts';

export interface NamedConnector {
  accountId: string;
  region: string;
  connectorId: string;
}

/** A connector that asks Intune, as the application that it is in Entra ID. */
export interface IntuneConnector extends NamedConnector {
  applicationId: string;
  domain: string;
}

/** A connector that a SCEP URL leads to. */
export interface EnrolmentEndpoint extends NamedConnector {
  /** Of a connector that asks Intune who may enrol. */
  intune?: IntuneConnector | undefined;
  certificateAuthorityArn: string;
  /** Whether it answers; CREATING is about to, FAILED and DELETING are not. */
  status: ConnectorRow['status'];
  policy: EnrolmentPolicy;
  /** The policy as the store has it, to tell whether it is still the same. */
  policyDocument: string | null;
  /** Whether a certificate authorises its own renewal: by the policy, and never where AWS is to be matched. */
  renews: boolean;
  algorithms: AlgorithmPolicy;
}

/** What every request has whose CMS signature holds and whose envelope was opened. */
export interface OpenedRequest {
  transactionID: string;
  signer: Certificate;
  /** The address it came from. */
  source: string;
}

/** A PKCSReq or a RenewalReq: which of the two it calls itself means nothing, since most clients renew with PKCSReq. */
export interface EnrolmentRequest extends OpenedRequest {
  csr: CertificationRequest;
  /** Of the CMS signature. */
  digest: DigestName;
}

export type EnrolmentOutcome =
  | { pkiStatus: 'SUCCESS'; certificates: readonly [Uint8Array, ...Uint8Array[]] }
  | { pkiStatus: 'PENDING' }
  | Failure;
