//! Where the demo's stations stand: real places of the Kathmandu valley.

/// A place with room for a station.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) landmark: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

const fn place(name: &'static str, landmark: &'static str, latitude: f64, longitude: f64) -> Place {
    Place { name, landmark, latitude, longitude }
}

/// Ordered so that a small fleet already covers the valley. More stations than places share them.
pub(crate) const PLACES: [Place; 30] = [
    place("Thamel Chowk", "beside the garden gate", 27.715_3, 85.312_3),
    place("Durbar Marg", "opposite the palace museum", 27.713_6, 85.317_0),
    place("Patan Durbar Square", "ticket hall, Mangal Bazaar", 27.672_7, 85.325_2),
    place("Boudha Stupa", "north gate arcade", 27.721_5, 85.362_0),
    place("Tribhuvan Airport", "domestic arrivals", 27.696_6, 85.359_1),
    place("Bhaktapur Durbar Square", "lion gate", 27.672_1, 85.428_1),
    place("Ratna Park", "bus stop shelter", 27.706_4, 85.314_6),
    place("New Baneshwor", "convention centre corner", 27.688_6, 85.335_5),
    place("Swayambhu", "east steps", 27.714_9, 85.290_4),
    place("Jawalakhel", "zoo entrance", 27.673_2, 85.311_6),
    place("Asan Bazaar", "Annapurna temple corner", 27.707_5, 85.312_2),
    place("Pashupatinath", "west gate", 27.710_5, 85.348_7),
    place("Koteshwor", "ring road crossing", 27.678_5, 85.349_4),
    place("Kalanki", "bus park", 27.693_3, 85.281_6),
    place("Maharajgunj", "teaching hospital lobby", 27.735_9, 85.330_6),
    place("Chabahil", "stupa side", 27.717_3, 85.346_6),
    place("Lazimpat", "embassy row", 27.722_0, 85.320_5),
    place("Jhamsikhel", "food street", 27.677_3, 85.310_0),
    place("Kirtipur", "university gate", 27.680_6, 85.284_4),
    place("Gongabu", "new bus park", 27.734_9, 85.308_4),
    place("Sundhara", "Dharahara tower", 27.700_6, 85.312_1),
    place("Basantapur", "Hanuman Dhoka", 27.704_3, 85.306_9),
    place("Tripureshwor", "stadium gate", 27.694_0, 85.314_1),
    place("Lagankhel", "bus stop", 27.666_7, 85.322_9),
    place("Putalisadak", "computer market", 27.703_3, 85.322_2),
    place("Baluwatar", "crossing", 27.726_0, 85.330_9),
    place("Satdobato", "swimming complex", 27.658_5, 85.324_7),
    place("Budhanilkantha", "temple road", 27.778_3, 85.362_2),
    place("Thimi", "pottery square", 27.680_9, 85.387_5),
    place("Balkhu", "vegetable market", 27.684_6, 85.298_3),
];
