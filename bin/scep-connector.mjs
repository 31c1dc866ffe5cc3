#!/usr/bin/env node
/** Runs the command with Node 24 or newer: the Node that runs this file, or else the one that `npm ci` brought. Plain JavaScript, so that any Node from 18 can read it. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const nodeMajorMin = 24;
const thisFile = fileURLToPath(import.meta.url);
const root = dirname(dirname(thisFile));

if (isNewEnough(process.versions.node)) await runHere();
else runWithPinnedNode();

async function runHere() {
  nodeModule.enableCompileCache?.(cacheFolder());
  const main = ['src/cli.ts', 'dist/cli.js'].map(file => join(root, file)).find(existsSync);
  if (main === undefined) return fail(`neither src/cli.ts nor dist/cli.js is in ${root}: install scep-connector again`);
  try {
    await import(pathToFileURL(main).href);
  } catch (error) {
    const [, missing] = (error?.code === 'ERR_MODULE_NOT_FOUND' && /^Cannot find package '([^']+)'/.exec(error.message)) || [];
    if (missing === undefined) throw error;
    fail(`the package ${missing} is missing: run "npm ci" in ${root}`);
  }
}

function runWithPinnedNode() {
  const node = findPinnedNode();
  if (node === undefined) {
    return fail(
      `Node ${nodeMajorMin} or newer is needed and this is ${process.version}: run "npm ci" in ${root}, or install Node ${nodeMajorMin}`,
    );
  }
  const child = spawn(node, [thisFile, ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', error => fail(`${node} does not start: ${error.message}`));
  child.on('exit', (code, signal) => {
    for (const name of signals) process.removeAllListeners(name);
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
}

/** The Node of the optional dependency for this platform, or undefined. */
function findPinnedNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const require = nodeModule.createRequire(import.meta.url);
  try {
    const manifest = require.resolve(`node-${platform}-${process.arch}/package.json`);
    const node = join(dirname(manifest), 'bin', platform === 'win' ? 'node.exe' : 'node');
    return isNewEnough(require(manifest).version) && existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

function isNewEnough(version) {
  return Number.parseInt(version, 10) >= nodeMajorMin;
}

/** Compiled code is code: its cache lies in the user's own folder and not in the shared one for temporary files, which is Node's default. */
function cacheFolder() {
  return join(process.env.XDG_CACHE_HOME ?? process.env.LOCALAPPDATA ?? join(homedir(), '.cache'), 'scep-connector');
}

function fail(message) {
  console.error(`scep-connector: ${message}.`);
  process.exitCode = 1;
}
