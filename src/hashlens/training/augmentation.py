"""What is done to an image at random each time that it is trained on."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from hashlens.backbones import Preprocessing
from hashlens.errors import BadInput
from hashlens.methods.settings import Augmentation
from hashlens.sources import Source, UnreadableImage

SMALL = 64  # pixels; smaller pictures, such as CIFAR's, have little to spare around what they show
ZOOM = {
    "zoom": (0.25, 1.0),
    "resized-crop": (0.08, 1.0),
    "strong": (0.35, 1.0),
}  # share of the picture that is left; that of "resized-crop" is torchvision's
COLOUR = 0.05  # change of brightness and of contrast, at most


def augmented(image: Image.Image, augmentation: Augmentation, preprocessing: Preprocessing) -> Tensor:
    """An image as the network takes it, changed at random by PyTorch's default generator.

    Args:
        image: RGB.
        augmentation: all but ``"by-data"``; see :class:`hashlens.methods.TrainingSettings`.

    Returns:
        (3, S, S) uint8.

    Example:
        >>> prepare = Preprocessing(32, (0, 0, 0), (1, 1, 1))
        >>> augmented(Image.new("RGB", (64, 48), "white"), "crop", prepare).shape
        torch.Size([3, 32, 32])
    """
    from torchvision.transforms import v2

    side = preprocessing.image_size
    if augmentation in ZOOM:
        if augmentation == "strong":
            image = v2.RandomApply([v2.TrivialAugmentWide()])(image)
        crop = v2.RandomResizedCrop(side, scale=ZOOM[augmentation], interpolation=v2.InterpolationMode.BICUBIC)
        return v2.functional.pil_to_tensor(v2.RandomHorizontalFlip()(crop(image)))
    if augmentation == "crop":
        wider = Preprocessing(preprocessing.of_wider().resized, preprocessing.mean, preprocessing.std)
        return v2.RandomHorizontalFlip()(v2.RandomCrop(side)(wider(image)))
    if augmentation == "colour":
        change = v2.Compose([v2.RandomHorizontalFlip(), v2.ColorJitter(brightness=COLOUR, contrast=COLOUR)])
        return change(preprocessing(image))
    raise BadInput(f"There is no augmentation '{augmentation}'.")


def augmentation_for(source: Source, label_sets: bool) -> Augmentation:
    """What OrthoHash's program does to the sets of its paper, by what these are like.

    Pictures with label sets (NUS-WIDE, MS-COCO) show many things, and a crop keeps most of them; small ones
    (CIFAR-10) are not cropped; of others (ImageNet) parts are cut out.

    Example:
        >>> import hashlens as hl
        >>> augmentation_for(hl.open_source("digits:test"), label_sets=False)
        'colour'
    """
    if label_sets:
        return "crop"
    for item in range(len(source)):
        try:
            return "colour" if min(source.image(item).size) <= SMALL else "resized-crop"
        except UnreadableImage:
            continue
    return "resized-crop"
