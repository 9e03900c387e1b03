//! Which orders there are, all from the seed, and the book of those that were accepted.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// Weight of the n-th customer: 1 / n^EXPONENT.
const EXPONENT: f64 = 0.7;
/// One order in so many has a product that always fails.
const FAILING: u64 = 500;
/// Orders per customer and queue, on average.
const ORDERS_PER_CUSTOMER: usize = 50;

/// One order, named by its place: the customer's n-th on that queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) fifo: bool,
    pub(super) customer: u32,
    pub(super) number: u32,
}

/// Draws orders. A customer's FIFO orders are handed out one at a time: the next when the one before
/// was accepted.
pub(super) struct Draws {
    random: StdRng,
    left: usize,
    /// Sums of the customers' weights.
    weights: Vec<f64>,
    /// The number of the next order by customer: on the standard queue, on the FIFO queue.
    next: Vec<[u32; 2]>,
    /// FIFO orders that were drawn while one of the customer was under way.
    waiting: Vec<u32>,
    under_way: Vec<bool>,
}

impl Draws {
    pub(super) fn new(seed: u64, orders: usize) -> Self {
        let customers = (orders / (2 * ORDERS_PER_CUSTOMER)).max(20);
        let mut sum = 0.0;
        let weight = |n: usize| (n as f64).powf(-EXPONENT);
        let weights = (1..=customers).map(|n| {
            sum += weight(n);
            sum
        });
        Self {
            random: StdRng::seed_from_u64(seed),
            left: orders,
            weights: weights.collect(),
            next: vec![[0; 2]; customers],
            waiting: vec![0; customers],
            under_way: vec![false; customers],
        }
    }

    pub(super) fn customers(&self) -> usize {
        self.weights.len()
    }

    /// An order that may be sent now.
    pub(super) fn draw(&mut self) -> Option<Order> {
        while self.left > 0 {
            self.left -= 1;
            let fifo: bool = self.random.random();
            let all = self.weights.last().copied().unwrap_or_default();
            let point = self.random.random_range(0.0..all);
            let customer = self.weights.partition_point(|sum| *sum <= point);
            if !fifo || !std::mem::replace(&mut self.under_way[customer], true) {
                return Some(self.number(fifo, customer));
            }
            self.waiting[customer] += 1;
        }
        None
    }

    /// The order has been accepted; the customer's next FIFO order if one waits.
    pub(super) fn following(&mut self, accepted: Order) -> Option<Order> {
        let customer = accepted.customer as usize;
        if !accepted.fifo {
            return None;
        }
        if self.waiting[customer] == 0 {
            self.under_way[customer] = false;
            return None;
        }
        self.waiting[customer] -= 1;
        Some(self.number(true, customer))
    }

    fn number(&mut self, fifo: bool, customer: usize) -> Order {
        let next = &mut self.next[customer][usize::from(fifo)];
        let number = *next;
        *next += 1;
        Order { fifo, customer: customer as u32, number }
    }
}

impl Order {
    /// Whether the order is made to fail, which its place and the seed decide.
    pub(super) fn is_failing(self, seed: u64) -> bool {
        let place = u64::from(self.customer) << 32 | u64::from(self.number) << 1;
        let mut random =
            StdRng::seed_from_u64(seed ^ (place | u64::from(self.fifo)).rotate_left(17));
        random.random_range(0..FAILING) == 0
    }

    pub(super) fn path(self) -> &'static str {
        if self.fifo { "/api/orders?queueType=fifo" } else { "/api/orders?queueType=standard" }
    }

    pub(super) fn key(self, seed: u64) -> String {
        format!("chaos-{seed}-{}", self.product_id())
    }

    /// With the customer it tells the order from every other.
    pub(super) fn product_id(self) -> String {
        let queue = if self.fifo { 'f' } else { 's' };
        format!("{queue}-{}", self.number)
    }

    pub(super) fn body(self, seed: u64) -> String {
        let product = if self.is_failing(seed) { "실패테스트" } else { "상품" };
        format!(
            r#"{{"customerId":"{}","items":[{{"productId":"{}","productName":"{product}","quantity":2,"price":12.5}}]}}"#,
            customer_name(self.customer),
            self.product_id(),
        )
    }
}

/// The customer's id, which is its message group too.
pub(super) fn customer_name(customer: u32) -> String {
    format!("customer-{customer}")
}

/// The accepted orders, found by the id that the API gave them. Kept small: there are millions.
#[derive(Default)]
pub(super) struct Book {
    entries: Vec<(Uuid, Order)>,
    /// Answers that named an id twice: two orders would be one.
    pub(super) taken_twice: u64,
}

impl Book {
    pub(super) fn accepted(&mut self, id: Uuid, order: Order) {
        self.entries.push((id, order));
    }

    /// To be called once all are in it, before anything is looked up.
    pub(super) fn close(&mut self) {
        self.entries.sort_unstable_by_key(|(id, _)| *id);
        let all = self.entries.len();
        self.entries.dedup_by_key(|(id, _)| *id);
        self.taken_twice = (all - self.entries.len()) as u64;
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The order's place in the book.
    pub(super) fn find(&self, id: Uuid) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    pub(super) fn get(&self, place: usize) -> (Uuid, Order) {
        self.entries[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_fifo_orders_are_handed_out_one_at_a_time_and_all_of_them() {
        let mut draws = Draws::new(7, 1000);
        let mut under_way: Vec<Order> = Vec::new();
        let mut handed_out = 0;
        loop {
            while let Some(order) = draws.draw() {
                let same =
                    |other: &&Order| order.fifo && other.fifo && other.customer == order.customer;
                assert_eq!(under_way.iter().find(same), None);
                under_way.push(order);
                handed_out += 1;
            }
            let Some(accepted) = under_way.pop() else { break };
            if let Some(next) = draws.following(accepted) {
                assert_eq!(next, Order { number: accepted.number + 1, ..accepted });
                under_way.push(next);
                handed_out += 1;
            }
        }
        assert_eq!(handed_out, 1000);
    }

    #[test]
    fn the_same_seed_draws_the_same_orders() {
        let mut draws = [Draws::new(7, 100), Draws::new(7, 100)];
        let [first, second] =
            draws.each_mut().map(|draws| std::iter::from_fn(|| draws.draw()).collect::<Vec<_>>());
        assert_eq!(first, second);
        assert!(first.iter().any(|order| order.fifo) && first.iter().any(|order| !order.fifo));
    }

    #[test]
    fn about_one_order_in_five_hundred_fails() {
        let order = |n| Order { fifo: n % 2 == 0, customer: n % 97, number: n };
        let failing = (0..100_000).filter(|n| order(*n).is_failing(7)).count();
        assert!((150..250).contains(&failing), "{failing}");
    }
}
