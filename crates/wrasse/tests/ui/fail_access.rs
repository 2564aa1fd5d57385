use wrasse::Gc;

fn main() {
    let mut gc = Gc::new(vec![1]);
    let first = &gc[0];
    Gc::get_mut(&mut gc).unwrap().clear();
    println!("{first}");
    gc.push(2);
}
