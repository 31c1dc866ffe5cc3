/** Shows that a message taken apart and put together again is the same to the octet, so that what an edit leaves alone stays as it was. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { objectIdentifier } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { hex } from '../support/ber.ts';
import { attributeValues, encodeTree, octetsOf, parseTree, placesIn } from './ber-tree.ts';
import { readCorpus } from './scep-corpus.ts';

describe('parseTree', () => {
  it('reads what encodeTree writes again as it was: every vector', () => {
    const messages = readCorpus().map(({ message }) => message);
    const trees = messages.map(message => ({ message, tree: parseTree(message) }));
    const read = trees.filter(({ tree }) => tree !== undefined);
    assert.ok(read.length > messages.length / 2);
    for (const { message, tree } of read) assert.deepEqual(tree && encodeTree(tree), message);
  });

  it('keeps lengths as they are written', () => {
    for (const digits of [
      '30 03 02 01 05',
      '30 80 02 01 05 00 00',
      '30 81 03 02 01 05',
      '30 84 00 00 00 03 02 01 05',
      '24 80 04 01 61 00 00',
    ]) {
      const tree = parseTree(hex(digits));
      assert.deepEqual(tree && encodeTree(tree), hex(digits));
    }
  });

  it('opens strings that hold BER', () => {
    const tree = parseTree(hex('30 0c 04 05 30 03 02 01 05 03 03 00 05 00'));
    assert.ok(tree);
    assert.deepEqual(
      placesIn([tree]).map(({ node }) => node.identifier),
      [0x30, 0x04, 0x30, 0x02, 0x03, 0x05],
    );
  });

  it('gives nothing of what is no BER', () => {
    for (const digits of ['', '30', '30 05 02 01', '30 80 02 01 05', '30 03 02 01 05 00', '02 80 00 00', '30 03 02 05 01']) {
      assert.equal(parseTree(hex(digits)), undefined, digits);
    }
  });
});

describe('attributeValues', () => {
  it('finds the values of an attribute wherever it stands', () => {
    const type = objectIdentifier(Oid.challengePassword);
    const attribute = Buffer.concat([hex('30 10'), type, hex('31 03 0c 01 61')]);
    const tree = parseTree(Buffer.concat([hex('a0 12'), attribute]));
    assert.ok(tree);
    assert.deepEqual(attributeValues(tree, type.subarray(2)).map(octetsOf), [Buffer.from('a')]);
  });
});
