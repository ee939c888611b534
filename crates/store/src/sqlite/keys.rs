use async_trait::async_trait;
use rusqlite::{Row, params};
use soniquebay_domain::{KeyHash, Keys, Scope, StoreError, StoredKey, Timestamp};

use super::SqliteStore;
use super::catalog::collect;
use super::error::SqlError;

#[async_trait]
impl Keys for SqliteStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.readers
            .read(|conn| {
                let sql = "SELECT name, hash, scope, created_at, revoked_at FROM keys ORDER BY name";
                let mut statement = conn.prepare_cached(sql)?;
                let mut rows = statement.query([])?;
                collect(&mut rows, read)
            })
            .await
    }

    async fn add_key(&self, name: &str, hash: KeyHash, scope: Scope) -> Result<bool, StoreError> {
        let (name, now) = (name.to_owned(), self.clock.now());
        self.writer
            .transaction(move |tx| {
                tx.execute("DELETE FROM keys WHERE name = ?1 AND revoked_at IS NOT NULL", [&name])?;
                let sql = "INSERT INTO keys (name, hash, scope, created_at) VALUES (?1, ?2, ?3, ?4) \
                           ON CONFLICT DO NOTHING";
                Ok(tx.execute(sql, params![name, hash.0, scope.name(), now.0])? > 0)
            })
            .await
    }

    async fn revoke_key(&self, name: &str) -> Result<bool, StoreError> {
        let (name, now) = (name.to_owned(), self.clock.now());
        self.writer
            .transaction(move |tx| {
                let sql = "UPDATE keys SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL";
                Ok(tx.execute(sql, params![name, now.0])? > 0)
            })
            .await
    }
}

fn read(row: &Row<'_>) -> Result<StoredKey, SqlError> {
    let name: String = row.get(0)?;
    let corrupt = |column| StoreError::Corrupt { table: "keys", row: name.clone(), column };
    Ok(StoredKey {
        hash: KeyHash(row.get::<_, Vec<u8>>(1)?.try_into().map_err(|_| corrupt("hash"))?),
        scope: Scope::parse(&row.get::<_, String>(2)?).ok_or_else(|| corrupt("scope"))?,
        created_at: Timestamp(row.get(3)?),
        revoked_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        name,
    })
}
