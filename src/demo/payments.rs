//! Made-up card payments with a known truth: who pays where and how much, short bursts of stolen cards, late and
//! duplicate events, a drift at the end. The same options give the same payments: all chance comes from the seed.
//! Must never read a clock.

use std::collections::BinaryHeap;

use super::chance::{Chance, Zipf};
use crate::time::{EventTime, Span};

/// What to make. The defaults are the workload of the benchmarks, with nothing unusual in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub seed: u64,
    /// Payments that the generator yields, duplicates included.
    pub events: u64,
    /// Users pay by Zipf 1.3: the first makes a quarter of all payments.
    pub users: u32,
    /// Merchants are paid by Zipf 1.2.
    pub merchants: u32,
    /// The payments are spread over about so many days, few by night.
    pub days: u32,
    pub start: EventTime,
    /// Share of payments made in bursts with a stolen card.
    pub stolen: f64,
    /// Share of payments that arrive late, by up to `lateness_max`.
    pub late: f64,
    pub lateness_max: Span,
    /// Share of payments that arrive a second time, within a minute.
    pub duplicates: f64,
    /// The last share of the time in which amounts are higher and a new category has appeared.
    pub drift: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            events: 1_000_000,
            users: 100_000,
            merchants: 10_000,
            days: 60,
            start: EventTime(1_767_225_600_000_000), // 2026-01-01T00:00:00Z
            stolen: 0.0,
            late: 0.0,
            lateness_max: Span(5 * Span::MINUTE.0),
            duplicates: 0.0,
            drift: 0.0,
        }
    }
}

impl Options {
    /// What the fraud domain is shown and trained with: all that the generator can do but the drift.
    #[must_use]
    pub fn fraud(seed: u64, events: u64) -> Self {
        Self { seed, events, users: 20_000, merchants: 2_000, stolen: 0.01, late: 0.01, duplicates: 0.005, ..Self::default() }
    }
}

/// One payment. `stolen` is the truth, which no event tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// Counted from 0; two payments with one number are duplicates.
    pub number: u64,
    pub user: u32,
    pub merchant: u32,
    pub category: &'static str,
    pub amount_cents: i64,
    pub is_approved: bool,
    pub event_time: EventTime,
    pub is_stolen: bool,
}

/// The bank's word that a payment was not the card holder's: what a label is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Chargeback {
    pub payment: u64,
    /// One to twenty days after the payment.
    pub event_time: EventTime,
}

const CATEGORIES: [&str; 10] =
    ["groceries", "restaurants", "fuel", "clothing", "electronics", "travel", "pharmacy", "home", "games", "services"];
/// Appears when the drift begins.
const NEW_CATEGORY: &str = "vouchers";
const NEW_CATEGORY_SHARE: f64 = 0.15;
const DRIFTED_AMOUNT: f64 = 1.6;
const DECLINED: f64 = 0.07;
const DECLINED_WHEN_STOLEN: f64 = 0.3;
/// Payments of a burst: 3 to 12.
const BURST: (u64, u64) = (3, 12);
const BURST_MEAN: f64 = (BURST.0 + BURST.1) as f64 / 2.0;
/// Share of ordinary payments that begin a spree of two to five more: what a burst is easily mistaken for.
const SPREE: f64 = 0.02;
const SPREE_MEAN: f64 = 3.5;
/// The share of a day's payments in each of its hours, in thousandths.
const HOURS: [u32; 24] = [10, 6, 4, 3, 4, 8, 18, 32, 46, 52, 56, 60, 68, 64, 58, 56, 60, 68, 74, 72, 62, 50, 40, 29];

/// Yields payments in the order of their arrival: that of their event times, but for the late ones.
pub struct Generator {
    options: Options,
    chance: Chance,
    users: Zipf,
    merchants: Zipf,
    day: Day,
    /// Payments drawn in the order of time, and how many of them there will be.
    drawn: u64,
    draws: f64,
    /// The chance that an ordinary payment's time is that of a burst too.
    bursts: f64,
    /// Payments made in all, duplicates included.
    made: u64,
    number: u64,
    next: Option<Payment>,
    /// Payments made ahead of their arrival.
    waiting: BinaryHeap<Waiting>,
}

/// Orders a heap by earliest arrival.
struct Waiting {
    arrival: i64,
    made: u64,
    payment: Payment,
}

impl Generator {
    #[must_use]
    pub fn new(options: Options) -> Self {
        // Each ordinary payment sets off so many more on average.
        let sprees = SPREE * SPREE_MEAN;
        let stolen = options.stolen.min(0.9);
        let bursts = stolen / (1.0 - stolen) * (1.0 + sprees) / BURST_MEAN;
        let draws = options.events as f64 / ((1.0 + sprees + bursts * BURST_MEAN) * (1.0 + options.duplicates));
        Self {
            chance: Chance::new(options.seed),
            users: Zipf::new(options.users, 1.3),
            merchants: Zipf::new(options.merchants, 1.2),
            day: Day::new(),
            drawn: 0,
            draws: draws.max(1.0),
            bursts,
            made: 0,
            number: 0,
            next: None,
            waiting: BinaryHeap::new(),
            options,
        }
    }

    /// The next ordinary payment in the order of time, with whatever it sets off put to wait.
    fn draw(&mut self) -> Option<Payment> {
        if self.made >= self.options.events {
            return None;
        }
        let place = (self.drawn as f64 + self.chance.unit()) / self.draws;
        self.drawn += 1;
        let time = EventTime(self.options.start.0 + (self.day.at(place * f64::from(self.options.days)) * Span::DAY.0 as f64) as i64);
        let (user, merchant) = (self.users.draw(&mut self.chance), self.merchants.draw(&mut self.chance));
        let payment = self.payment(user, merchant, time, None);
        if self.chance.unit() < SPREE {
            self.spree(user, time);
        }
        if self.bursts > 0.0 && self.chance.unit() < self.bursts {
            self.burst(time);
        }
        let arrival = self.arrival(&payment);
        if arrival > time.0 {
            self.wait(arrival, payment);
            return None;
        }
        if self.made >= self.options.events {
            return None;
        }
        self.made += 1;
        Some(payment)
    }

    /// The same user buys a few more things, at leisure.
    fn spree(&mut self, user: u32, start: EventTime) {
        let mut time = start;
        for _ in 0..2 + self.chance.below(4) {
            time = time.plus(Span(Span::SECOND.0 * (60 + self.chance.below(1_200) as i64)));
            let merchant = self.merchants.draw(&mut self.chance);
            let payment = self.payment(user, merchant, time, None);
            let arrival = self.arrival(&payment);
            self.wait(arrival, payment);
        }
    }

    /// A thief tries a stolen card: often small amounts first, then high ones, at merchants few people pay.
    fn burst(&mut self, start: EventTime) {
        let user = self.users.draw(&mut self.chance).max(self.users.draw(&mut self.chance));
        let is_fast = self.chance.unit() < 0.7;
        // Bursts keep no hours.
        let mut time = start.plus(Span(self.chance.below(Span::DAY.0 as u64) as i64));
        let tests = self.chance.below(3);
        for index in 0..BURST.0 + self.chance.below(BURST.1 - BURST.0 + 1) {
            let gap = if is_fast { 15 + self.chance.below(120) } else { 300 + self.chance.below(3_600) };
            time = time.plus(Span(Span::SECOND.0 * gap as i64));
            let is_common = self.chance.unit() < 0.3;
            let merchant =
                if is_common { self.merchants.draw(&mut self.chance) } else { self.chance.below(u64::from(self.options.merchants)) as u32 };
            let factor = if index < tests { 0.1 } else { 1.5 + 3.0 * self.chance.unit() };
            let payment = self.payment(user, merchant, time, Some(factor));
            let arrival = self.arrival(&payment);
            self.wait(arrival, payment);
        }
    }

    /// `stolen`: by what the amount is multiplied.
    fn payment(&mut self, user: u32, merchant: u32, event_time: EventTime, stolen: Option<f64>) -> Payment {
        // What a user spends and a merchant asks for is theirs for good: -1 to 1 in the logarithm.
        let of_user = Chance::new(u64::from(user) ^ 0x5eed).unit() * 2.0 - 1.0;
        let of_merchant = Chance::new(u64::from(merchant) ^ 0xca5e).unit() * 2.0 - 1.0;
        let mut amount = (3.3 + 0.6 * of_user + 0.5 * of_merchant + 0.7 * self.chance.normal()).exp() * stolen.unwrap_or(1.0);
        let mut category = CATEGORIES[(merchant as usize * 7 + 3) % CATEGORIES.len()];
        if self.options.drift > 0.0 && event_time >= self.drift_begins() {
            amount *= DRIFTED_AMOUNT;
            if self.chance.unit() < NEW_CATEGORY_SHARE {
                category = NEW_CATEGORY;
            }
        }
        let declined = if stolen.is_some() { DECLINED_WHEN_STOLEN } else { DECLINED };
        let payment = Payment {
            number: self.number,
            user,
            merchant,
            category,
            amount_cents: ((amount * 100.0) as i64).max(50),
            is_approved: self.chance.unit() >= declined,
            event_time,
            is_stolen: stolen.is_some(),
        };
        self.number += 1;
        payment
    }

    /// When the drift is switched on.
    #[must_use]
    pub fn drift_begins(&self) -> EventTime {
        let before = (1.0 - self.options.drift) * f64::from(self.options.days) * Span::DAY.0 as f64;
        self.options.start.plus(Span(before as i64))
    }

    /// When a payment arrives; one that arrives twice is put to wait for its second time.
    fn arrival(&mut self, payment: &Payment) -> i64 {
        if self.options.duplicates > 0.0 && self.chance.unit() < self.options.duplicates {
            let again = payment.event_time.0 + self.chance.below(Span::MINUTE.0 as u64) as i64;
            self.wait(again, payment.clone());
        }
        let is_late = self.options.late > 0.0 && self.chance.unit() < self.options.late;
        let lateness = if is_late { 1 + self.chance.below(self.options.lateness_max.0.max(1) as u64) } else { 0 };
        payment.event_time.0 + lateness as i64
    }

    fn wait(&mut self, arrival: i64, payment: Payment) {
        if self.made < self.options.events {
            self.waiting.push(Waiting { arrival, made: self.made, payment });
            self.made += 1;
        }
    }
}

impl Iterator for Generator {
    type Item = Payment;

    fn next(&mut self) -> Option<Payment> {
        while self.next.is_none() && self.made < self.options.events {
            self.next = self.draw();
        }
        let waits_longer = |waiting: &Waiting| self.next.as_ref().is_some_and(|next| next.event_time.0 <= waiting.arrival);
        match self.waiting.peek() {
            Some(waiting) if !waits_longer(waiting) => self.waiting.pop().map(|waiting| waiting.payment),
            _ => self.next.take(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.options.events).ok())
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.arrival, other.made).cmp(&(self.arrival, self.made))
    }
}

impl Payment {
    /// Appends the event as one JSON object of about 170 bytes, without a line's end.
    pub fn to_json(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(b"{\"payment_id\":\"");
        self.put_id(buffer);
        buffer.extend_from_slice(b"\",\"user_id\":");
        put_number(buffer, u64::from(self.user), 1);
        buffer.extend_from_slice(b",\"merchant_id\":\"m");
        put_number(buffer, u64::from(self.merchant), 5);
        buffer.extend_from_slice(b"\",\"category\":\"");
        buffer.extend_from_slice(self.category.as_bytes());
        buffer.extend_from_slice(b"\",\"amount\":");
        put_number(buffer, self.amount_cents.unsigned_abs() / 100, 1);
        buffer.push(b'.');
        put_number(buffer, self.amount_cents.unsigned_abs() % 100, 2);
        buffer.extend_from_slice(b",\"status\":\"");
        buffer.extend_from_slice(self.status().as_bytes());
        buffer.extend_from_slice(b"\",\"event_time\":\"");
        put_time(buffer, self.event_time);
        buffer.extend_from_slice(b"\"}");
    }

    /// The event's `payment_id`.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = Vec::with_capacity(12);
        self.put_id(&mut id);
        String::from_utf8(id).unwrap_or_default()
    }

    fn put_id(&self, buffer: &mut Vec<u8>) {
        buffer.push(b'p');
        put_number(buffer, self.number, 10);
    }

    /// The event's `merchant_id`.
    #[must_use]
    pub fn merchant_id(&self) -> String {
        format!("m{:05}", self.merchant)
    }

    #[must_use]
    pub fn amount(&self) -> f64 {
        self.amount_cents as f64 / 100.0
    }

    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.is_approved { "approved" } else { "declined" }
    }

    /// The holder of a stolen card gets the money of an approved payment back; one in twenty never notices.
    #[must_use]
    pub fn chargeback(&self) -> Option<Chargeback> {
        let mut chance = Chance::new(self.number ^ 0xbac4);
        let is_noticed = chance.unit() < 0.95;
        let delay = Span(Span::DAY.0 + chance.below(19 * Span::DAY.0 as u64) as i64);
        let is_charged_back = self.is_stolen && self.is_approved && is_noticed;
        is_charged_back.then(|| Chargeback { payment: self.number, event_time: self.event_time.plus(delay) })
    }
}

impl Chargeback {
    /// Appends the event as one JSON object, without a line's end.
    pub fn to_json(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(b"{\"payment_id\":\"p");
        put_number(buffer, self.payment, 10);
        buffer.extend_from_slice(b"\",\"event_time\":\"");
        put_time(buffer, self.event_time);
        buffer.extend_from_slice(b"\"}");
    }
}

/// Appends a number with at least `digits` digits.
fn put_number(buffer: &mut Vec<u8>, number: u64, digits: usize) {
    let mut text = [b'0'; 20];
    let (mut rest, mut start) = (number, text.len());
    while rest > 0 || text.len() - start < digits {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    buffer.extend_from_slice(&text[start..]);
}

/// Appends `2026-01-01T00:00:00.000000Z`.
fn put_time(buffer: &mut Vec<u8>, time: EventTime) {
    let (days, rest) = (time.0.div_euclid(Span::DAY.0), time.0.rem_euclid(Span::DAY.0) as u64);
    let (year, month, day) = date(days);
    put_number(buffer, year, 4);
    for (separator, number) in
        [(b'-', month), (b'-', day), (b'T', rest / 3_600_000_000), (b':', rest / 60_000_000 % 60), (b':', rest / 1_000_000 % 60)]
    {
        buffer.push(separator);
        put_number(buffer, number, 2);
    }
    buffer.push(b'.');
    put_number(buffer, rest % 1_000_000, 6);
    buffer.push(b'Z');
}

/// Year, month and day of a count of days since 1970-01-01, for years from 0 on: the civil calendar in eras of 400
/// years that begin in March.
fn date(days: i64) -> (u64, u64, u64) {
    let shifted = (days + 719_468).max(0) as u64;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + 400 * era + u64::from(month <= 2), month, day)
}

/// Turns even progress through a day into the hours in which people pay.
struct Day {
    /// The share of the day's payments before each hour, and 1.
    before: [f64; 25],
}

impl Day {
    fn new() -> Self {
        let total: u32 = HOURS.iter().sum();
        let mut before = [0.0; 25];
        for (hour, weight) in HOURS.iter().enumerate() {
            before[hour + 1] = before[hour] + f64::from(*weight) / f64::from(total);
        }
        before[24] = 1.0;
        Self { before }
    }

    /// Days since the start for that many days' worth of payments.
    fn at(&self, days: f64) -> f64 {
        let (whole, part) = (days.floor(), days.fract());
        let hour = self.before[1..24].partition_point(|&before| before <= part);
        let within = (part - self.before[hour]) / (self.before[hour + 1] - self.before[hour]);
        whole + (hour as f64 + within) / 24.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn all(options: Options) -> Vec<Payment> {
        Generator::new(options).collect()
    }

    fn busy() -> Options {
        Options { drift: 0.1, ..Options::fraud(7, 50_000) }
    }

    #[test]
    fn the_same_seed_gives_the_same_payments() {
        assert_eq!(all(busy()), all(busy()));
        assert_ne!(all(busy())[..100], all(Options { seed: 8, ..busy() })[..100]);
    }

    #[test]
    fn yields_as_many_as_asked_for_over_the_days_asked_for() {
        for options in
            [busy(), Options { events: 20_000, ..Options::default() }, Options { events: 0, ..busy() }, Options { events: 1, ..busy() }]
        {
            let payments = all(options.clone());
            assert_eq!(payments.len() as u64, options.events);
            if payments.len() > 1 {
                let last = payments.iter().map(|payment| payment.event_time).max().unwrap();
                let days = (last.0 - options.start.0) as f64 / Span::DAY.0 as f64;
                assert!((f64::from(options.days) * 0.95..f64::from(options.days) + 1.5).contains(&days), "{days}");
                assert!(payments.iter().all(|payment| payment.event_time >= options.start));
            }
        }
    }

    #[test]
    fn only_late_payments_arrive_out_of_order() {
        let payments = all(Options { events: 20_000, stolen: 0.02, ..Options::default() });
        assert!(payments.is_sorted_by_key(|payment| payment.event_time));
        let (mut frontier, mut late) = (EventTime::MIN, 0);
        for payment in all(busy()) {
            assert!(payment.event_time >= frontier.minus(busy().lateness_max.max(Span::MINUTE)));
            late += usize::from(payment.event_time < frontier);
            frontier = frontier.max(payment.event_time);
        }
        assert!((200..800).contains(&late), "{late}");
    }

    #[test]
    fn shares_are_as_asked_for() {
        let payments = all(busy());
        let share = |is: &dyn Fn(&Payment) -> bool| payments.iter().filter(|payment| is(payment)).count() as f64 / payments.len() as f64;
        assert!((0.007..0.013).contains(&share(&|payment| payment.is_stolen)));
        assert!((0.06..0.085).contains(&share(&|payment| !payment.is_approved)));
        let ids: HashSet<u64> = payments.iter().map(|payment| payment.number).collect();
        assert!((0.003..0.007).contains(&(1.0 - ids.len() as f64 / payments.len() as f64)));
        let mut users: HashMap<u32, usize> = HashMap::new();
        payments.iter().for_each(|payment| *users.entry(payment.user).or_default() += 1);
        assert!((0.2..0.3).contains(&(*users.values().max().unwrap() as f64 / payments.len() as f64)));
        assert!(users.len() > 3_000);
    }

    #[test]
    fn the_drift_comes_at_the_end() {
        let begins = Generator::new(busy()).drift_begins();
        let (after, before): (Vec<Payment>, Vec<Payment>) = all(busy()).into_iter().partition(|payment| payment.event_time >= begins);
        let mean = |payments: &[Payment]| payments.iter().map(Payment::amount).sum::<f64>() / payments.len() as f64;
        let vouchers = |payments: &[Payment]| payments.iter().filter(|payment| payment.category == NEW_CATEGORY).count();
        assert!(mean(&after) > 1.4 * mean(&before));
        assert!(vouchers(&before) == 0 && vouchers(&after) * 8 > after.len());
    }

    #[test]
    fn chargebacks_follow_stolen_payments() {
        let payments = all(busy());
        let charged_back: Vec<(&Payment, Chargeback)> =
            payments.iter().filter_map(|payment| Some((payment, payment.chargeback()?))).collect();
        let stolen = payments.iter().filter(|payment| payment.is_stolen && payment.is_approved).count();
        assert!(charged_back.len() * 10 > stolen * 9 && charged_back.len() < stolen);
        for (payment, chargeback) in charged_back {
            let days = (chargeback.event_time.0 - payment.event_time.0) / Span::DAY.0;
            assert!(payment.is_stolen && (1..20).contains(&days));
        }
    }

    #[test]
    fn writes_json() {
        let payment = Payment {
            number: 12,
            user: 345,
            merchant: 67,
            category: "fuel",
            amount_cents: 1_205,
            is_approved: false,
            event_time: EventTime::parse("2024-02-29T23:59:58.000123Z").unwrap(),
            is_stolen: true,
        };
        let mut json = Vec::new();
        payment.to_json(&mut json);
        let expected = r#"{"payment_id":"p0000000012","user_id":345,"merchant_id":"m00067","category":"fuel","amount":12.05,"status":"declined","event_time":"2024-02-29T23:59:58.000123Z"}"#;
        assert_eq!(String::from_utf8(json).unwrap(), expected);
        assert_eq!((payment.id().as_str(), payment.merchant_id().as_str()), ("p0000000012", "m00067"));
        let mut json = Vec::new();
        Chargeback { payment: 12, event_time: EventTime(0) }.to_json(&mut json);
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"payment_id":"p0000000012","event_time":"1970-01-01T00:00:00.000000Z"}"#);
    }

    #[test]
    fn writes_the_times_that_the_engine_reads() {
        let mut chance = Chance::new(3);
        for _ in 0..2_000 {
            let time = EventTime(chance.below(250 * 365 * Span::DAY.0 as u64) as i64);
            let mut text = Vec::new();
            put_time(&mut text, time);
            assert_eq!(EventTime::parse(std::str::from_utf8(&text).unwrap()), Some(time));
        }
    }
}
