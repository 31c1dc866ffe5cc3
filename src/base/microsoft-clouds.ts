/** Where Entra ID, Microsoft Graph and Intune are in each of Microsoft's clouds (learn.microsoft.com, "National cloud deployments"). */

/** What an INTUNE connector needs to know of a cloud. URLs without a slash at their end. */
export interface MicrosoftCloud {
  /** Where Entra ID gives tokens. */
  entraUrl: string;
  graphUrl: string;
  /** What a token for Intune is for: a name that looks like a URL. */
  intuneResource: string;
  /** Hosts at or below which Intune's services are: no token for Intune goes elsewhere. */
  intuneHosts: readonly string[];
  /** The audience of the connector's assertions. */
  tokenExchangeAudience: string;
}

/** Of Microsoft's cloud in China the name of Intune's resource is not documented. */
export const microsoftClouds = {
  public: {
    entraUrl: 'https://login.microsoftonline.com',
    graphUrl: 'https://graph.microsoft.com',
    intuneResource: 'https://api.manage.microsoft.com',
    intuneHosts: ['manage.microsoft.com'],
    tokenExchangeAudience: 'api://AzureADTokenExchange',
  },
  'us-government': {
    entraUrl: 'https://login.microsoftonline.us',
    graphUrl: 'https://graph.microsoft.us',
    intuneResource: 'https://api.manage.microsoft.us',
    intuneHosts: ['manage.microsoft.us'],
    tokenExchangeAudience: 'api://AzureADTokenExchangeUSGov',
  },
  'us-government-dod': {
    entraUrl: 'https://login.microsoftonline.us',
    graphUrl: 'https://dod-graph.microsoft.us',
    intuneResource: 'https://api.manage.microsoft.us',
    intuneHosts: ['manage.microsoft.us'],
    tokenExchangeAudience: 'api://AzureADTokenExchangeUSGov',
  },
  china: {
    entraUrl: 'https://login.partner.microsoftonline.cn',
    graphUrl: 'https://microsoftgraph.chinacloudapi.cn',
    intuneResource: undefined,
    intuneHosts: undefined,
    tokenExchangeAudience: 'api://AzureADTokenExchangeChina',
  },
} as const satisfies Record<string, { [Part in keyof MicrosoftCloud]: MicrosoftCloud[Part] | undefined }>;

export type MicrosoftCloudName = keyof typeof microsoftClouds;
export const microsoftCloudNames = Object.keys(microsoftClouds) as MicrosoftCloudName[];

const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whether a token or an assertion may be sent there: over HTTPS, or to this very machine, where a stand-in for Microsoft may run. */
export function isSafeUrl({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && loopbackHosts.has(hostname));
}
