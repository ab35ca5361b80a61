// Pictures that could not be loaded, because the studio was away or the network down, are tried again.

const MOST_TRIES = 4;
const tries = new WeakMap();

const isBroken = (image) => image.complete && !image.naturalWidth && Boolean(image.src);

/** Load a picture again; assigning its address starts that. */
function reload(image) {
  if (image.isConnected && isBroken(image)) image.src = image.getAttribute("src");
}

/** Try each picture that fails some times more, and all of them when the studio is back. */
export function retryPictures(studio) {
  document.addEventListener(
    "error",
    ({ target }) => {
      if (!(target instanceof HTMLImageElement)) return;
      const done = tries.get(target) ?? 0;
      tries.set(target, done + 1);
      if (done < MOST_TRIES) setTimeout(() => reload(target), 500 * 4 ** done);
    },
    true, // an error of a picture does not bubble
  );
  studio.addEventListener("connection", () => {
    if (studio.isConnected) [...document.images].filter(isBroken).forEach(reload);
  });
}
