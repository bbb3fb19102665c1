//! `filter!`: a question as one would say it.

/// A question to the task log as one would say it: `filter!(task_name = "my_task", action = Run)`.
///
/// It is a [`TaskLogQuery`](crate::runs::TaskLogQuery) with a condition for each field, and all must hold. A field that
/// does not exist does not compile. In values the functions of [`runs::query::ops`](crate::runs::query::ops) can be
/// named without their path, and the words of actions, kinds and levels without theirs:
///
/// ```
/// use runnel::filter;
/// use runnel::runs::{TaskLogQuery, Action};
///
/// let (t0, t1) = (1.7e9, 1.8e9);
/// let query = filter!(task_name = "my_task", action = in_([Fail, Crash]), created = between(t0, t1));
/// let same = TaskLogQuery::new()
///     .task("my_task")
///     .action(runnel::runs::query::ops::in_([Action::Fail, Action::Crash]))
///     .created(runnel::runs::query::ops::between(t0, t1));
/// assert_eq!(query, same);
///
/// let of_acme = filter!(level = ge(Warn), extra("customer") = "acme");
/// ```
///
/// ```compile_fail
/// runnel::filter!(tsk_name = "my_task");
/// ```
#[macro_export]
macro_rules! filter {
    (@on $query:expr;) => { $query };
    (@on $query:expr; action = $value:expr $(, $($rest:tt)*)?) => {
        $crate::filter!(@on {
            #[allow(unused_imports)]
            use $crate::runs::{Action::*, query::ops::*};
            $query.action($value)
        }; $($($rest)*)?)
    };
    (@on $query:expr; kind = $value:expr $(, $($rest:tt)*)?) => {
        $crate::filter!(@on {
            #[allow(unused_imports)]
            use $crate::runs::{TaskKind::*, query::ops::*};
            $query.kind($value)
        }; $($($rest)*)?)
    };
    (@on $query:expr; level = $value:expr $(, $($rest:tt)*)?) => {
        $crate::filter!(@on {
            #[allow(unused_imports)]
            use $crate::runs::{Level::*, query::ops::*};
            $query.level($value)
        }; $($($rest)*)?)
    };
    (@on $query:expr; $field:ident $(($name:expr))? = $value:expr $(, $($rest:tt)*)?) => {
        $crate::filter!(@on {
            #[allow(unused_imports)]
            use $crate::runs::query::ops::*;
            $query.$field($($name,)? $value)
        }; $($($rest)*)?)
    };
    ($($conditions:tt)*) => { $crate::filter!(@on $crate::runs::TaskLogQuery::new(); $($conditions)*) };
}
