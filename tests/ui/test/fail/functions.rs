struct Shop;

#[runnel::test]
fn not_async() {}

#[runnel::test]
async fn generic<T>() {}

#[runnel::test]
async fn with_parameters(_: Shop, _: u64) {}

#[runnel::test]
#[test]
async fn twice() {}

#[runnel::test]
struct NotAFunction;

#[runnel::test(realtime)]
async fn misspelt() {}

#[runnel::test(real_time = true)]
async fn another_form() {}

#[runnel::test("real_time")]
async fn without_a_name() {}

impl Shop {
    #[runnel::test]
    async fn method(&self) {}
}

fn main() {
    // What has mistakes is still there: using it makes no further errors.
    drop(with_parameters(Shop, 5));
    let _ = (NotAFunction, misspelt());
}
