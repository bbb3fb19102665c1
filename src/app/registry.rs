//! What the attribute macros register, and how an app finds it.

use super::App;

/// Something an attribute macro has made: a type named like the function it came from.
pub trait Item {
    /// Adds it to an app.
    fn declare(app: App) -> App;
}

/// An entry of the program-wide registry. Made by the attribute macros only.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub struct Registration {
    declare: fn(App) -> App,
}

#[cfg(feature = "macros")]
impl Registration {
    /// The entry of an item.
    pub const fn of<I: Item>() -> Self {
        Self { declare: I::declare }
    }

    pub(super) fn declare(&self, app: App) -> App {
        (self.declare)(app)
    }
}

#[cfg(feature = "macros")]
inventory::collect!(Registration);

/// Everything that is registered in this program, in an order that does not depend on the linker.
#[cfg(feature = "macros")]
pub(super) fn registered() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>()
}
