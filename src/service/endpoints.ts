/** Where connectors are reached: the public URL, or for one with a VpcEndpointId the private URL that the setting gives that endpoint. */

/** The private enrolment addresses: an endpoint's URL, or undefined of one that has none (yet). */
export type VpcEndpoints = ReadonlyMap<string, string | undefined>;

export class Endpoints {
  /** What OIDC issuers and public endpoints begin with, without a trailing slash. */
  readonly publicUrl: string;
  readonly #vpcEndpoints: VpcEndpoints;

  constructor({ publicUrl, vpcEndpoints }: { publicUrl: string; vpcEndpoints: VpcEndpoints }) {
    this.publicUrl = publicUrl;
    this.#vpcEndpoints = vpcEndpoints;
  }

  /** What the connector's URL begins with; undefined when its private endpoint is not there. */
  findBaseUrl(vpcEndpointId: string | null): string | undefined {
    return vpcEndpointId === null ? this.publicUrl : this.#vpcEndpoints.get(vpcEndpointId);
  }

  /** Why no private endpoint can be given to a connector. */
  findProblem(vpcEndpointId: string | null): 'VPC_ENDPOINT_RESOURCE_NOT_FOUND' | 'VPC_ENDPOINT_DNS_ENTRIES_NOT_FOUND' | undefined {
    if (this.findBaseUrl(vpcEndpointId) !== undefined) return undefined;
    const isKnown = vpcEndpointId !== null && this.#vpcEndpoints.has(vpcEndpointId);
    return isKnown ? 'VPC_ENDPOINT_DNS_ENTRIES_NOT_FOUND' : 'VPC_ENDPOINT_RESOURCE_NOT_FOUND';
  }

  /**
   * Whether a connector may answer a request for `host`, the request's Host. One with a private endpoint answers at that alone; a public one at
   * every name, since devices reach it by addresses and through proxies of which the server knows nothing.
   */
  isReachedAt(vpcEndpointId: string | null, host: string | undefined): boolean {
    if (vpcEndpointId === null) return true;
    const baseUrl = this.findBaseUrl(vpcEndpointId);
    if (baseUrl === undefined || host === undefined) return false;
    const { protocol, host: expected } = new URL(baseUrl);
    // The URL parser lower-cases the name and leaves out the scheme's own port.
    return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === expected;
  }
}
