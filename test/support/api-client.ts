/** AWS's own client for an API somewhere, with the credentials of an AWS shared-credentials file. */

import PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import AWS from 'aws-sdk/global.js';

process.env['AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE'] = '1';

export function sharedCredentials(credentialsFile: string): AWS.SharedIniFileCredentials {
  return new AWS.SharedIniFileCredentials({ filename: credentialsFile });
}

export function createApiClient(endpoint: string, credentialsFile: string): PcaConnectorScep {
  const credentials = sharedCredentials(credentialsFile);
  return new PcaConnectorScep({ endpoint, region: 'us-east-1', maxRetries: 0, credentials });
}
