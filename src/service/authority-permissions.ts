/** Permissions on certificate authorities: what AWS Certificate Manager may do with them. They are kept for AWS's tools; nothing here acts on them. */
import { deleteAuthorityPermission, insertAuthorityPermission, listAuthorityPermissions } from '../backends/store/authority-permissions.ts';
import type { CertificateAuthorityRow, Database, Query } from '../backends/store/database.ts';
import { ServiceException, validationException } from '../base/errors.ts';
import type { Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { checkNotDeleted, getAuthorityRow } from './certificate-authorities.ts';

/** AWS: "At this time, the only valid principal is acm.amazonaws.com". */
const onlyPrincipal = 'acm.amazonaws.com';

interface PermissionRequest {
  CertificateAuthorityArn: string;
  Principal: string;
  SourceAccount?: string;
}

interface Permission {
  CertificateAuthorityArn: string;
  CreatedAt: number;
  Principal: string;
  SourceAccount: string;
  Actions: string[];
}

interface AuthorityPermissionsDependencies {
  database: Database;
  system: System;
  region: string;
}

export class AuthorityPermissions {
  readonly #dependencies: AuthorityPermissionsDependencies;

  constructor(dependencies: AuthorityPermissionsDependencies) {
    this.#dependencies = dependencies;
  }

  async createPermission(principal: Principal, request: PermissionRequest & { Actions: string[] }): Promise<Record<string, never>> {
    const { database, system } = this.#dependencies;
    checkPermission(principal, request);
    await database.transaction(async query => {
      const { ca_id } = await this.#find(query, request.CertificateAuthorityArn);
      const isNew = await insertAuthorityPermission(query, {
        ca_id,
        principal: request.Principal,
        source_account: principal.accountId,
        actions: JSON.stringify([...new Set(request.Actions)]),
        created_at: system.now(),
      });
      if (!isNew) throw new ServiceException('PermissionAlreadyExistsException', `${request.Principal} has a permission already.`);
    });
    return {};
  }

  async deletePermission(principal: Principal, request: PermissionRequest): Promise<Record<string, never>> {
    checkPermission(principal, request);
    await this.#dependencies.database.transaction(async query => {
      const { ca_id: caId } = await this.#find(query, request.CertificateAuthorityArn);
      const wasThere = await deleteAuthorityPermission(query, {
        caId,
        principal: request.Principal,
        sourceAccount: principal.accountId,
      });
      if (!wasThere) throw new ServiceException('ResourceNotFoundException', `${request.Principal} has no permission.`);
    });
    return {};
  }

  /** All of them: one principal of one account has one permission at most. */
  async listPermissions({ CertificateAuthorityArn }: { CertificateAuthorityArn: string }): Promise<{ Permissions: Permission[] }> {
    const { query } = this.#dependencies.database;
    const { ca_id } = await this.#find(query, CertificateAuthorityArn);
    const rows = await listAuthorityPermissions(query, ca_id);
    return {
      Permissions: rows.map(row => ({
        CertificateAuthorityArn,
        CreatedAt: row.created_at,
        Principal: row.principal,
        SourceAccount: row.source_account,
        Actions: JSON.parse(row.actions) as string[],
      })),
    };
  }

  async #find(query: Query, arn: string): Promise<CertificateAuthorityRow> {
    const { region, system } = this.#dependencies;
    const row = await getAuthorityRow(query, region, system.now(), arn);
    checkNotDeleted(row, 'permissions');
    return row;
  }
}

function checkPermission({ accountId }: Principal, { Principal: service, SourceAccount = accountId }: PermissionRequest): void {
  if (service !== onlyPrincipal) throw validationException(`The only valid principal of a permission is ${onlyPrincipal}.`);
  if (SourceAccount !== accountId) throw validationException('SourceAccount must be the calling account.');
}
