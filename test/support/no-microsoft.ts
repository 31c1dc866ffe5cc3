/** A network in which none of Microsoft's services can be reached. */
import { MicrosoftError } from '../../src/backends/intune/microsoft-error.ts';
import type { Transport } from '../../src/backends/intune/microsoft-http.ts';

export const noMicrosoft: Transport = async ({ service }) => {
  throw new MicrosoftError({ reason: 'unreachable', service }, `${service} cannot be reached.`);
};
