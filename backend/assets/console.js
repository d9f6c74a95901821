// Draws the stations on a map without tiles and keeps the markers true to the list beside it.
(() => {
  const list = document.getElementById("stations");
  const frame = document.getElementById("map");
  if (!list || !frame || !window.L) return;

  const map = L.map(frame, { preferCanvas: true, attributionControl: false, zoomSnap: 0.25, scrollWheelZoom: false });
  // The Ring Road and the Bagmati give the eye something to hold on to where no tile server is set up.
  const ringRoad = [[27.7347, 85.3083], [27.7398, 85.3307], [27.7290, 85.3451], [27.7172, 85.3472], [27.7003, 85.3536],
    [27.6787, 85.3494], [27.6655, 85.3330], [27.6585, 85.3247], [27.6610, 85.3080], [27.6740, 85.2990], [27.6846, 85.2983],
    [27.6933, 85.2816], [27.7080, 85.2825], [27.7180, 85.2850], [27.7300, 85.2960]];
  const bagmati = [[27.7450, 85.4200], [27.7180, 85.3730], [27.7105, 85.3490], [27.6960, 85.3490], [27.6870, 85.3300],
    [27.6880, 85.3180], [27.6930, 85.3060], [27.6830, 85.2960], [27.6600, 85.2880]];
  L.polygon(ringRoad, { color: "#c9bfa5", weight: 3, fillColor: "#efe8d6", fillOpacity: 0.6, interactive: false }).addTo(map);
  L.polyline(bagmati, { color: "#9fc5d8", weight: 4, interactive: false }).addTo(map);

  const colours = { online: "#1d8a5f", suspect: "#d08a1d", offline: "#b3402f", unknown: "#8a8577" };
  const markers = new Map();

  function draw() {
    const seen = new Set();
    for (const card of list.querySelectorAll(".station")) {
      const { name, latitude, longitude, presence, ready } = card.dataset;
      seen.add(card.id);
      let marker = markers.get(card.id);
      if (!marker) {
        marker = L.circleMarker([Number(latitude), Number(longitude)], { weight: 2, color: "#ffffff", fillOpacity: 1 }).addTo(map);
        marker.bindTooltip("");
        markers.set(card.id, marker);
      }
      marker.setStyle({ fillColor: colours[presence] || colours.unknown });
      marker.setRadius(5 + Math.min(Number(ready), 12) * 0.6);
      marker.setTooltipContent(document.createTextNode(`${name}: ${ready} to rent`).textContent.replace(/[<>&]/g, ""));
    }
    for (const [id, marker] of markers) {
      if (!seen.has(id)) { marker.remove(); markers.delete(id); }
    }
  }

  draw();
  if (markers.size > 0) {
    map.fitBounds(L.featureGroup([...markers.values()]).getBounds().pad(0.08));
  } else {
    map.setView([27.7, 85.325], 12);
  }
  new MutationObserver(draw).observe(list, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-presence", "data-ready"] });
})();
