//! The table: what each operation answers, in each of its corners, on every kind of store.

mod acquiring;
mod fleet;
mod letters;
mod membership;
mod operators;
mod owning;
mod repairs;
mod runs;
mod streams;

/// Makes each function a test that asks every kind of store there is.
macro_rules! on_every_store {
    ($($(#[$doc:meta])* async fn $name:ident($kind:ident: Kind) $body:block)*) => {
        $(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                for $kind in crate::stores::kinds() {
                    let _named = crate::stores::NamedIfItFails($kind);
                    $body
                }
            }
        )*
    };
}
use on_every_store;
