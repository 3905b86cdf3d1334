coffee.jpg is a photograph by Rachel Michetti, courtesy of Pikolo Espresso Bar, under CC0 1.0: its author waives all
rights, as far as the law allows (https://creativecommons.org/publicdomain/zero/1.0/).

Source: skimage/data/coffee.png of scikit-image (https://scikit-image.org), whose documentation of skimage.data.coffee
says "No copyright restrictions. CC0 by the photographer (Rachel Michetti)." Changed: from PNG to JPEG of quality 92.
