/** Whether this machine has further loopback addresses to send from, as Linux has the whole of 127.0.0.0/8 and a Mac only 127.0.0.1. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** For the `skip` option of a test: false, or the reason to skip it. Under SCEP_TEST_REQUIRE_ALL=1 a missing address is a failure. */
export async function requireSourceAddress(address: string): Promise<string | false> {
  const server = createServer().listen(0, address);
  try {
    await once(server, 'listening');
    server.close();
    return false;
  } catch (cause) {
    const reason = `${address} is no address of this machine`;
    if (process.env['SCEP_TEST_REQUIRE_ALL'] === '1') throw new Error(reason, { cause });
    return reason;
  }
}
