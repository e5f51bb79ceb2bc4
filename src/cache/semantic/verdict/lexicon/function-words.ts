// Words that carry grammar or courtesy, not what is asked.

/** Never compared as content. */
export const functionWords = `
a an the this that these those it its itself they them their theirs he him his she her hers we us our ours you your
yours i me my mine myself yourself someone somebody anyone anybody something anything one ones thing things stuff
whatever
am is are was were be been being do does did done doing have has had having will would shall should can could may
might must ought need dare
and or but so because if then than as of at by for with about against between into through during before after above
below to from up down in out on off over under again further once per via within upon onto toward towards since until
till while although though whether
who whom whose when where why what which how there here just also too very really quite rather actually basically
simply even still yet already ever maybe perhaps please kindly thanks thank hello hi hey dear ok okay oh well yo lol
nah like
not no nor never none without such own same other another any some each every both either neither few more most less
least much many only all several
get gets getting got go goes going went come comes let lets make makes know tell want wanted wants wish like would try
trying say says mean means give gives help see
`;

/** Frame of a request: compared, but a difference in them weighs little. */
export const softWords = `
way ways method trick tip tips advice idea suggestion possible able allowed permitted permissible advisable okay
required necessary needed recommended recommend suggest advise explain describe show list find call called use used
using usually typically normally generally exactly correct proper properly right appropriate best good better great
nice easy easiest quick simple terms step steps process procedure instruction question questions understand
understanding wonder wondering curious interested look looking think thought happen happens people person someone kind
type sort various certain particular specific currently actually probably supposed accidentally please grateful
appreciate anyone guys everyone take takes taking put keep set bring back away anymore today long time times point
reason cause causes
`;

/** After these, 'to' begins a verb and not a direction. */
export const infinitiveHeads = `how want wants need needs have has like try trying going able possible way ways steps step reasons reason best easy hard safe legal ought used supposed allowed permitted required entitled known order time plan planning method when where what which whether right me you`;

/** Prepositions that say where a change goes, or what is measured against what. */
export const directions = `to into onto from than over before after toward towards against instead behind by until`;

/** Relations that hold both ways: their two sides may change places. */
export const symmetricWords = `vs versus difference differ differs different compare compared comparison similar same both between share shared together relationship relation related common equal distance apart`;

/** Grammar of other languages in Latin letters: a text with more of these than of English is not judged by English rules. */
export const foreignWords = `
der die das und ist nicht ein eine einen ich wie wo wann warum kann mit ohne für von zu zum zur auf den dem des im
wird werden sind mein meine
le la les un une et est pas que qui où quand pourquoi comment je mon ma mes pour avec sans dans sur au aux du
el los las una y es qué que cómo dónde cuándo por para con sin en mi mis puedo del al
il lo gli che è non perché come dove quando mio mia con senza per della del nel posso
o os um uma é não como onde quando meu minha com sem para da do na no
de het een en niet hoe waar wanneer waarom kan ik mijn met zonder voor van
och är inte hur när varför var jag min med utan för på och det
`;
