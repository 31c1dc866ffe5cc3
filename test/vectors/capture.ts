/** Captures vectors: lets real clients enrol at the world's server and keeps what they sent. `node test/vectors/capture.ts [captureStrongSwan …]`, under a clock of late 2026. */
import { realSystem } from '../../src/base/system.ts';
import { openVectorWorld } from '../support/vector-world.ts';
import { captureCertmonger } from './clients/certmonger.ts';
import { captureOpenssl } from './clients/openssl.ts';
import { captureOurClient } from './clients/our-client.ts';
import { captureScepclient } from './clients/scepclient.ts';
import { captureStrongSwan } from './clients/strongswan.ts';

await using world = await openVectorWorld({ now: realSystem.now });
const captures = { captureStrongSwan, captureCertmonger, captureScepclient, captureOurClient, captureOpenssl };
const wanted = process.argv.slice(2);
for (const [name, capture] of Object.entries(captures)) if (wanted.length === 0 || wanted.includes(name)) await capture(world);
