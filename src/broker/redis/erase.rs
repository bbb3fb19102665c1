//! Takes all keys of an app away.

use super::Redis;
use super::reply::{self, Reply};
use crate::broker::BrokerError;

pub(super) async fn erase(store: &Redis) -> Result<u64, BrokerError> {
    const DOING: &str = "erasing an app";
    let unexpected = |why| store.connection.unexpected(DOING, why);
    let (mut cursor, mut erased) = ("0".to_owned(), 0);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(store.keys.pattern()).arg("COUNT").arg(1000);
        let mut page = Reply::of(store.connection.ask(DOING, &scan).await?).map_err(unexpected)?;
        cursor = page.text("cursor").map_err(unexpected)?;
        let mut unlink = redis::cmd("UNLINK");
        let mut any = false;
        for key in page.list("keys").map_err(unexpected)? {
            let key = reply::text(key).map_err(unexpected)?;
            if store.keys.is_ours(&key) {
                unlink.arg(key);
                any = true;
            }
        }
        if any {
            let gone: u64 = reply::number(store.connection.ask(DOING, &unlink).await?).map_err(unexpected)?;
            erased += gone;
        }
        if cursor == "0" {
            return Ok(erased);
        }
    }
}
