() => {
  if (window.innerWidth < 760) document.getElementById('KEY-status').scrollIntoView({behavior: 'smooth'});
}
