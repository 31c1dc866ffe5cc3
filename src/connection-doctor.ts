/** `doctor --connector`: the connection test of an INTUNE connector, on the store of this machine, whether the server runs or not. */
import { fetchTransport } from './backends/intune/microsoft-http.ts';
import type { Log } from './base/events.ts';
import { parseConnectorArn } from './base/resources.ts';
import { WorkerPool } from './base/worker-pool.ts';
import { type Config, readConfig } from './config.ts';
import { openInstallation } from './installation.ts';
import { Audit } from './service/audit.ts';
import type { ConnectionStep } from './service/connection-test.ts';
import { createServices } from './services.ts';

/** Throws ServiceException where there is no such connector, or none to test. */
export async function testConnector(ConnectorArn: string, createLog: (config: Config) => Log): Promise<ConnectionStep[]> {
  const { config, secrets } = readConfig();
  const log = createLog(config);
  await using installation = await openInstallation(config, secrets);
  await using audit = new Audit({ ...installation, log });
  await using workers = new WorkerPool(1);
  const { connectionTest } = createServices(config, { installation, workers, audit, log, transport: fetchTransport });
  const accountId = parseConnectorArn(ConnectorArn)?.accountId ?? config.account;
  return (await connectionTest.testConnection({ accountId }, ConnectorArn)).Steps;
}
