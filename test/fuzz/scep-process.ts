/** A process of the SCEP fuzzer: does the rounds that it is told to, and says which input it begins, so that one that hangs or crashes it is known. */
import type { ProcessMessage } from './scep-fuzz.ts';
import { type RoundTask, ScepRounds } from './scep-rounds.ts';

const rounds = new ScepRounds({ onInput: say });

process.on('message', (task: RoundTask) => void rounds.run(task).then(report => say({ report }), end));

function say(message: ProcessMessage): void {
  process.send?.(message);
}

/** An error of the fuzzer's own: rejections are watched, so that without this the process would go on and say nothing more. */
function end(error: unknown): never {
  console.error(error);
  process.exit(1);
}
