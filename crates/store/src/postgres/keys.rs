use async_trait::async_trait;
use soniquebay_domain::{KeyHash, Keys, Scope, StoreError, StoredKey, Timestamp};
use tokio_postgres::Row;

use super::PostgresStore;
use super::connection::{execute, read, rows, transaction};
use super::error::SqlError;

#[async_trait]
impl Keys for PostgresStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        read!(self.server, |client| async {
            let sql = "SELECT name, hash, scope, created_at, revoked_at FROM keys ORDER BY name";
            rows(client, sql, &[]).await?.iter().map(stored).collect()
        })
    }

    async fn add_key(&self, name: &str, hash: KeyHash, scope: Scope) -> Result<bool, StoreError> {
        let now = self.clock.now();
        transaction!(self.server, |tx| async {
            execute(tx, "DELETE FROM keys WHERE name = $1 AND revoked_at IS NOT NULL", &[&name]).await?;
            let sql = "INSERT INTO keys (name, hash, scope, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            Ok(execute(tx, sql, &[&name, &hash.0.as_slice(), &scope.name(), &now.0]).await? > 0)
        })
    }

    async fn revoke_key(&self, name: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        transaction!(self.server, |tx| async {
            let sql = "UPDATE keys SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL";
            Ok(execute(tx, sql, &[&name, &now.0]).await? > 0)
        })
    }
}

fn stored(row: &Row) -> Result<StoredKey, SqlError> {
    let name: String = row.try_get(0)?;
    let corrupt = |column| StoreError::Corrupt { table: "keys", row: name.clone(), column };
    Ok(StoredKey {
        hash: KeyHash(row.try_get::<_, Vec<u8>>(1)?.try_into().map_err(|_| corrupt("hash"))?),
        scope: Scope::parse(row.try_get(2)?).ok_or_else(|| corrupt("scope"))?,
        created_at: Timestamp(row.try_get(3)?),
        revoked_at: row.try_get::<_, Option<i64>>(4)?.map(Timestamp),
        name,
    })
}
