/** Holds docs/infrastructure-as-code.md: every name is one that AWS documents, and the scripts do on this server what the document says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { keyAlgorithms, signingAlgorithms } from '../../src/base/private-ca.ts';
import { startTemporaryServer } from '../support/temporary-server.ts';
import { parseCommand, type Shape } from './aws-cli.ts';
import { blocksOf, type OutlineNode, outline } from './outline.ts';

const root = join(import.meta.dirname, '..', '..');
const markdown = await readFile(join(root, 'docs', 'infrastructure-as-code.md'), 'utf8');
const [makeScript = '', teardownScript = ''] = blocksOf(markdown, 'sh');
const [template = ''] = blocksOf(markdown, 'yaml');
const [policy = ''] = blocksOf(markdown, 'json');
const [terraform = ''] = blocksOf(markdown, 'hcl');

/** A property's own properties; `map` has any names, `list` and `text` none. */
type Documented = { readonly [name: string]: Documented | 'text' | 'list' | 'map' };

/** Properties without properties of their own. */
function texts(names: string): Documented {
  return Object.fromEntries(names.split(' ').map(name => [name, 'text']));
}

const tag = texts('Key Value');
const validity = texts('Type Value');
/** CloudFormation Template Reference Guide: the properties of each resource type. */
const cloudFormation: Record<string, { required: readonly string[]; properties: Documented; attributes: readonly string[] }> = {
  'AWS::ACMPCA::CertificateAuthority': {
    required: ['KeyAlgorithm', 'SigningAlgorithm', 'Subject', 'Type'],
    properties: {
      CsrExtensions: { KeyUsage: 'map', SubjectInformationAccess: 'list' },
      KeyAlgorithm: 'text',
      KeyStorageSecurityStandard: 'text',
      RevocationConfiguration: {
        CrlConfiguration: {
          ...texts('CrlType CustomCname CustomPath Enabled ExpirationInDays S3BucketName S3ObjectAcl'),
          CrlDistributionPointExtensionConfiguration: 'map',
        },
        OcspConfiguration: texts('Enabled OcspCustomCname'),
      },
      SigningAlgorithm: 'text',
      Subject: {
        ...texts('CommonName Country DistinguishedNameQualifier GenerationQualifier GivenName Initials Locality Organization'),
        ...texts('OrganizationalUnit Pseudonym SerialNumber State Surname Title'),
        CustomAttributes: 'list',
      },
      Tags: tag,
      Type: 'text',
      UsageMode: 'text',
    },
    attributes: ['Arn', 'CertificateSigningRequest'],
  },
  'AWS::ACMPCA::Certificate': {
    required: ['CertificateAuthorityArn', 'CertificateSigningRequest', 'SigningAlgorithm', 'Validity'],
    properties: {
      ApiPassthrough: { Extensions: 'map', Subject: 'map' },
      CertificateAuthorityArn: 'text',
      CertificateSigningRequest: 'text',
      SigningAlgorithm: 'text',
      TemplateArn: 'text',
      Validity: validity,
      ValidityNotBefore: validity,
    },
    attributes: ['Arn', 'Certificate'],
  },
  'AWS::ACMPCA::CertificateAuthorityActivation': {
    required: ['Certificate', 'CertificateAuthorityArn'],
    properties: texts('Certificate CertificateAuthorityArn CertificateChain Status'),
    attributes: ['CompleteCertificateChain'],
  },
  'AWS::RAM::ResourceShare': {
    required: ['Name'],
    properties: {
      ...texts('AllowExternalPrincipals Name'),
      PermissionArns: 'list',
      Principals: 'list',
      ResourceArns: 'list',
      ResourceShareConfiguration: 'map',
      Sources: 'list',
      Tags: tag,
    },
    attributes: ['Arn'],
  },
  'AWS::PCAConnectorSCEP::Connector': {
    required: ['CertificateAuthorityArn'],
    properties: {
      CertificateAuthorityArn: 'text',
      MobileDeviceManagement: { Intune: texts('AzureApplicationId Domain') },
      Tags: 'map',
      VpcEndpointId: 'text',
    },
    attributes: ['ConnectorArn', 'Endpoint', 'Type'],
  },
  'AWS::PCAConnectorSCEP::Challenge': {
    required: ['ConnectorArn'],
    properties: { ConnectorArn: 'text', Tags: 'map' },
    attributes: ['ChallengeArn'],
  },
};

/** terraform-provider-awscc, docs/resources: arguments, then what can be read. */
const awscc: Record<string, { required: readonly string[]; properties: Documented; attributes: readonly string[] }> = {
  awscc_pcaconnectorscep_connector: {
    required: ['certificate_authority_arn'],
    properties: {
      certificate_authority_arn: 'text',
      mobile_device_management: { intune: texts('azure_application_id domain') },
      tags: 'map',
      vpc_endpoint_id: 'text',
    },
    attributes: ['connector_arn', 'endpoint', 'id', 'open_id_configuration', 'type'],
  },
  awscc_pcaconnectorscep_challenge: {
    required: ['connector_arn'],
    properties: { connector_arn: 'text', tags: 'map' },
    attributes: ['challenge_arn', 'id'],
  },
};

function childOf(nodes: readonly OutlineNode[], name: string): OutlineNode {
  const node = nodes.find(other => other.name === name);
  if (!node) throw new Error(`no ${name}`);
  return node;
}

/** Paths of what is not documented, or is not what it is documented to be. */
function undocumented(nodes: readonly OutlineNode[], documented: Documented): string[] {
  return nodes.flatMap(({ name, children }) => {
    const inner = documented[name];
    if (inner === undefined) return [name];
    if (inner === 'map') return [];
    if (inner === 'text' || inner === 'list') return children.filter(child => child.name !== '').map(child => `${name}.${child.name}`);
    return undocumented(children, inner).map(path => `${name}.${path}`);
  });
}

describe('the CloudFormation template', () => {
  const resources = childOf(outline(template), 'Resources').children;
  const typeOf = (name: string) => childOf(childOf(resources, name).children, 'Type').value;

  it('makes a CA, its certificate, its activation, its share, a connector and a challenge', () => {
    assert.deepEqual(resources.map(({ name }) => typeOf(name)).sort(), Object.keys(cloudFormation).sort());
  });

  it('has only properties that are documented, and every required one', () => {
    for (const { name, children } of resources) {
      const { required = [], properties = {} } = cloudFormation[typeOf(name)] ?? {};
      const given = childOf(children, 'Properties').children;
      assert.deepEqual(undocumented(given, properties), [], name);
      for (const property of required)
        assert.ok(
          given.some(node => node.name === property),
          `${name} has no ${property}`,
        );
      const others = children.map(node => node.name).filter(other => !['Type', 'Properties', 'DependsOn'].includes(other));
      assert.deepEqual(others, [], name);
    }
  });

  it('refers to its own resources and to attributes that they have', () => {
    const references = [...template.matchAll(/!(Ref|GetAtt) (\w+)(?:\.(\w+))?$/gm)];
    assert.ok(references.length > 5);
    for (const [text, kind, name = '', attribute = ''] of references) {
      assert.ok(kind !== 'GetAtt' || cloudFormation[typeOf(name)]?.attributes.includes(attribute), text);
      if (kind === 'Ref') typeOf(name);
    }
    for (const [, name = ''] of template.matchAll(/DependsOn: (\w+)/g)) typeOf(name);
  });

  it('names algorithms that both sides know, the same on both sides of the document', () => {
    const { children } = childOf(childOf(resources, 'RootCA').children, 'Properties');
    assert.ok(keyAlgorithms.some(algorithm => algorithm === childOf(children, 'KeyAlgorithm').value));
    assert.ok(signingAlgorithms.some(algorithm => algorithm === childOf(children, 'SigningAlgorithm').value));
    for (const member of ['KeyAlgorithm', 'SigningAlgorithm'])
      assert.match(makeScript, new RegExp(`"${member}": "${childOf(children, member).value}"`));
  });

  it('would be found out with a property that does not exist', () => {
    const nodes = outline('CertificateAuthorityArn: a\nPassword: b\nMobileDeviceManagement:\n  Intune:\n    Tenant: c\n');
    assert.deepEqual(undocumented(nodes, cloudFormation['AWS::PCAConnectorSCEP::Connector']?.properties ?? {}), [
      'Password',
      'MobileDeviceManagement.Intune.Tenant',
    ]);
  });
});

describe('the Terraform snippet', () => {
  const resources = outline(terraform).filter(({ name }) => name === 'resource');
  const typeOf = ({ value }: OutlineNode) => /^(\w+)/.exec(value)?.[1] ?? '';

  it('makes a connector and a challenge with documented arguments only, and every required one', () => {
    assert.deepEqual(resources.map(typeOf), Object.keys(awscc));
    for (const resource of resources) {
      const { required = [], properties = {} } = awscc[typeOf(resource)] ?? {};
      assert.deepEqual(undocumented(resource.children, properties), []);
      for (const argument of required)
        assert.ok(
          resource.children.some(({ name }) => name === argument),
          argument,
        );
    }
  });

  it('reads attributes that are documented', () => {
    const references = [...terraform.matchAll(/= (awscc_\w+)\.devices\.(\w+)$/gm)];
    assert.equal(references.length, 3);
    for (const [text, type = '', attribute = ''] of references) assert.ok(awscc[type]?.attributes.includes(attribute), text);
  });
});

/** The words of each call of the CLI in a shell script, or in a code span of the text. */
function callsIn(script: string): string[][] {
  const lines = script.replaceAll('\\\n', ' ').split('\n');
  const calls = lines.flatMap(line => line.match(/(?<![\w"])aws (?:acm-pca|pca-connector-scep) (?:'[^']*'|"[^"]*"|[^)'"`;>])*/g) ?? []);
  return calls.map(call => (call.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).slice(1).map(word => word.replace(/^['"]|['"]$/g, '')));
}

/** Names in a JSON value that its shape has not. */
function unknownMembers(value: unknown, shape: Shape): string[] {
  if (Array.isArray(value)) return value.flatMap(item => unknownMembers(item, shape.member ?? {}));
  if (typeof value !== 'object' || value === null || shape.type === 'map') return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const member = shape.members?.[name];
    return member ? unknownMembers(inner, member) : [name];
  });
}

describe('the scripts', () => {
  it('use commands, options and members that AWS’s own description of the services has', () => {
    const calls = [...callsIn(makeScript), ...callsIn(teardownScript), ...callsIn(markdown.replace(/^```[^]*?^```$/gm, ''))];
    assert.ok(calls.length >= 18, `only ${calls.length} calls were found`);
    for (const call of calls) {
      const { parameters, shapeOf } = parseCommand(call);
      for (const [member, text] of parameters) {
        if (/^[{[]/.test(text)) assert.deepEqual(unknownMembers(JSON.parse(text), shapeOf(member)), [], text);
      }
    }
  });

  it('would be found out with an option or a member that does not exist', () => {
    assert.throws(() => parseCommand(['acm-pca', 'get-policy', '--arn', 'a']), /arn/);
    assert.throws(() => parseCommand(['acm-pca', 'wait', 'ca-created']), /ca-created/);
    const { shapeOf } = parseCommand(['acm-pca', 'create-certificate-authority']);
    assert.deepEqual(unknownMembers({ KeyAlgorithm: 'a', Subject: { Name: 'b' } }, shapeOf('CertificateAuthorityConfiguration')), ['Name']);
  });

  const skip = process.platform === 'win32' && 'a POSIX shell is needed';

  for (const compatibility of ['clients', 'aws']) {
    it(`make and take down a CA, a connector and a challenge on this server, with SCEP_COMPATIBILITY=${compatibility}`, {
      skip,
    }, async () => {
      await using server = await startTemporaryServer({ env: { SCEP_COMPATIBILITY: compatibility } });
      await using shell = await openShell({ ENDPOINT: server.apiUrl, AWS_SHARED_CREDENTIALS_FILE: server.credentialsFile });
      await writeFile(join(shell.directory, 'policy.json'), policy);
      const script = compatibility === 'aws' ? withPolicy(makeScript) : makeScript;
      const { stdout } = await shell.run(script);
      const again = await shell.run(script);
      assert.equal(again.stdout, stdout);
      const [endpoint = '', password] = stdout.trimEnd().split('\n');
      assert.match(endpoint, /^https:\/\//);
      assert.match(password ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.match(await readFile(join(shell.directory, 'ca.pem'), 'utf8'), /BEGIN CERTIFICATE/);
      const [, connectorId = ''] = /CONNECTOR_ARN=.*\/(\S+)$/m.exec(await readFile(join(shell.directory, 'devices.env'), 'utf8')) ?? [];
      assert.ok(endpoint.includes(connectorId));

      await shell.run(teardownScript);
      const connectors = await server.database.query.selectFrom('connectors').select('connector_id').execute();
      assert.deepEqual(
        connectors.map(row => row.connector_id),
        [server.connectorId],
      );
      const authorities = await server.database.query.selectFrom('certificate_authorities').select('status').execute();
      assert.deepEqual(authorities.map(({ status }) => status).sort(), ['ACTIVE', 'DELETED']);
    });
  }
});

/** What the text says is to be done before the connector is created. */
function withPolicy(script: string): string {
  const [call = ''] = /aws acm-pca put-policy [^`]*/.exec(markdown) ?? [];
  return script.replace(/^CONNECTOR_ARN=/m, `${call}\n$&`);
}

interface Shell extends AsyncDisposable {
  directory: string;
  run(script: string): Promise<{ stdout: string; stderr: string }>;
}

/** A directory in which `aws` is a command. */
async function openShell(env: Record<string, string>): Promise<Shell> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-script-'));
  const bin = join(directory, 'bin');
  await mkdir(bin);
  const command = `#!/bin/sh\nexec "${process.execPath}" "${join(import.meta.dirname, 'aws-cli.ts')}" "$@"\n`;
  await writeFile(join(bin, 'aws'), command, { mode: 0o755 });
  const path = `${bin}${delimiter}${process.env['PATH'] ?? ''}`;
  return {
    directory,
    run: script =>
      promisify(execFile)('sh', ['-c', script], {
        cwd: directory,
        env: { ...process.env, ...env, PATH: path },
      }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}
